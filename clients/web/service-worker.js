// Shows what Diaphone sends: Declarative Web Push, which Safari shows without
// this. Serve it from your own origin, or importScripts it into your own worker.

self.addEventListener('push', (event) => event.waitUntil(receive(event.data?.json().notification ?? {})));

async function receive({ title, navigate, app_badge: badge, ...options }) {
  if (badge !== undefined && navigator.setAppBadge) await navigator.setAppBadge(badge);
  if (title) {
    // What a click opens travels with the notification: the worker may not live so long.
    const links = Object.fromEntries((options.actions ?? []).map((a) => [a.action, a.navigate]));
    await self.registration.showNotification(title, { ...options, data: { ...options.data, _links: { '': navigate, ...links } } });
  }
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  for (const page of pages) page.postMessage({ diaphone: { title, navigate, app_badge: badge, ...options } });
  await report(options, title ? ['delivered', 'displayed'] : ['delivered']);
}

// Tells the gateway what has become of a message, if the page has called reportWith. What
// does not arrive is not tried again: the next receipt of the message says more anyway.
async function report(notification, kinds) {
  const said = await (await caches.open('diaphone')).match('/diaphone-reports');
  const message_id = notification.data?._mid;
  if (!said || !message_id) return;
  const { gateway, secret } = await said.json();
  const at = new Date().toISOString();
  await fetch(`${gateway}/v1/device/receipts`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ receipts: kinds.map((kind) => ({ message_id, kind, at })) }),
  }).catch(() => {});
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const links = event.notification.data?._links ?? {};
  event.waitUntil(Promise.all([open(links[event.action] ?? links['']), report(event.notification, ['opened'])]));
});

self.addEventListener('notificationclose', (event) => event.waitUntil(report(event.notification, ['dismissed'])));

async function open(link) {
  if (!link) return undefined;
  const url = new URL(link, self.registration.scope).href;
  const pages = await self.clients.matchAll({ type: 'window' });
  const page = pages.find((p) => p.url === url);
  return page ? page.focus() : self.clients.openWindow(url);
}

// A browser that renews its subscription gets one for the same key. The page
// registers it when it next starts.
self.addEventListener('pushsubscriptionchange', (event) => {
  const options = event.oldSubscription?.options;
  if (options && !event.newSubscription) event.waitUntil(self.registration.pushManager.subscribe(options));
});

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
