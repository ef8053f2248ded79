// Subscribes a page to Web Push and tells its backend.

const DEVICE_ID = 'diaphone-device-id';

/** Whether this browser has Web Push. On iOS it has in apps on the home screen only. */
export function supported() {
  return 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;
}

/** The id of this installation: made once, then kept. */
export function deviceId() {
  let id = localStorage.getItem(DEVICE_ID);
  if (!id) {
    id = `web-${crypto.randomUUID()}`;
    localStorage.setItem(DEVICE_ID, id);
  }
  return id;
}

/**
 * Subscribes, and gives the subscription to the backend. Call it at every start:
 * that is cheap, and tells the gateway that the subscription is alive. The first
 * time the browser asks for permission, so call it then in answer to a click.
 */
export async function subscribe({ vapidKey, register, serviceWorker = '/service-worker.js' }) {
  if (!supported()) throw new Error('this browser has no Web Push');
  await navigator.serviceWorker.register(serviceWorker);
  const { pushManager } = await navigator.serviceWorker.ready;
  if (Notification.permission !== 'granted' && (await Notification.requestPermission()) !== 'granted') {
    throw new Error('notifications are not permitted');
  }
  const key = bytes(vapidKey);
  let subscription = await pushManager.getSubscription();
  if (subscription && !equal(new Uint8Array(subscription.options.applicationServerKey ?? []), key)) {
    await subscription.unsubscribe(); // it was made for another key, and nobody can send to it
    subscription = null;
  }
  subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await register(deviceId(), {
    platform: 'web',
    tokens: [{ kind: 'webpush', subscription: subscription.toJSON() }],
    locale: navigator.language,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  });
  return subscription;
}

/** Ends the subscription. The gateway forgets it at the next push. */
export async function unsubscribe() {
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  return (await subscription?.unsubscribe()) ?? false;
}

/**
 * Has the service worker report to the gateway what becomes of messages (delivered,
 * displayed, opened, dismissed), with the secret of this installation's device. Without
 * arguments it stops.
 */
export async function reportWith({ gateway, secret } = {}) {
  const cache = await caches.open('diaphone'); // which pages and workers share
  if (!secret) return cache.delete('/diaphone-reports');
  return cache.put('/diaphone-reports', new Response(JSON.stringify({ gateway, secret })));
}

/** Calls back for every message that arrives while the page is open; returns how to stop. */
export function onMessage(callback) {
  const listener = ({ data }) => data?.diaphone && callback(data.diaphone);
  navigator.serviceWorker.addEventListener('message', listener);
  return () => navigator.serviceWorker.removeEventListener('message', listener);
}

function bytes(base64url) {
  const text = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function equal(a, b) {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
