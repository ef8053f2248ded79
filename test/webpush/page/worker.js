// The worker that apps use, and a listener that tells the test what came and when.
importScripts('/service-worker.js');

self.addEventListener('push', (event) => {
  event.waitUntil(fetch('/seen', { method: 'POST', body: event.data?.text() ?? '' }));
});
