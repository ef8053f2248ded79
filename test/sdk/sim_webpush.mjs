// Drives the unmodified web-push against the simulated push service, and prints,
// as JSON, what it reports for each subscription of $DEVICES (name to JSON of the
// subscription). The package speaks https only, so endpoints are at the TLS side.
import webpush from 'web-push';

const { VAPID_PUBLIC, VAPID_PRIVATE, DEVICES } = process.env;

const options = {
  vapidDetails: { subject: 'mailto:ops@example.com', publicKey: VAPID_PUBLIC, privateKey: VAPID_PRIVATE },
  TTL: 60,
  urgency: 'high',
  topic: 'chat-7',
};
const payload = JSON.stringify({
  web_push: 8030,
  notification: { title: 'web-push', body: 'hé', navigate: 'https://example.com/' },
});

const results = {};
for (const [name, text] of Object.entries(JSON.parse(DEVICES))) {
  results[name] = await webpush.sendNotification(JSON.parse(text), payload, options).then(
    (answer) => ({ sent: true, status: answer.statusCode, body: answer.body }),
    (error) => ({ sent: false, status: error.statusCode, body: error.body || String(error) }),
  );
}
console.log(JSON.stringify(results));
