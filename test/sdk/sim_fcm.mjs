// Drives the unmodified firebase-admin against simulated FCM, with send and with
// sendEach, and prints, as JSON, what it reports for each registration token of
// $DEVICES (name to token).
//
// sendEach goes over HTTP/1.1 here: the package's HTTP/2 transport (13.10.0) sends
// the pseudo-header ":scheme" as "https:", which Google lets pass but Go's server,
// and so the simulator, refuses as malformed (RFC 9113 section 8.3.1).
//
// The package has Google's hosts built in. They are led to the simulator one
// level below it, where a TLS connection is opened; name and certificate are
// checked as ever.
import fs from 'node:fs';
import tls from 'node:tls';
import admin from 'firebase-admin';

const { FCM_PORT, FCM_CA, FCM_ACCOUNT, DEVICES } = process.env;

const ca = fs.readFileSync(FCM_CA);
const connect = tls.connect;
tls.connect = (...args) => {
  const options = Object.assign({}, ...args.filter((a) => typeof a === 'object' && a !== null));
  const callback = args.find((a) => typeof a === 'function');
  const name = options.servername || options.host || args[1];
  if (!String(name).endsWith('.googleapis.com')) {
    throw new Error(`a connection to ${name}, which is not simulated`);
  }
  return connect({ ...options, servername: name, host: '127.0.0.1', port: Number(FCM_PORT), ca }, callback);
};

const account = JSON.parse(fs.readFileSync(FCM_ACCOUNT, 'utf8'));
const app = admin.initializeApp({ credential: admin.credential.cert(account) });
const messaging = app.messaging();

const messages = Object.entries(JSON.parse(DEVICES)).map(([name, token]) => ({
  name,
  message: {
    token,
    notification: { title: 'firebase-admin', body: 'hello' },
    data: { key: 'value' },
    android: { priority: 'high', ttl: 3500, collapseKey: 'sim', notification: { color: '#aabbcc', channelId: 'c' } },
    apns: { payload: { aps: { sound: 'default' } } },
  },
}));

const refusal = (error) => ({ sent: false, id: '', code: error.code, message: error.message });

async function send() {
  const results = {};
  for (const { name, message } of messages) {
    results[name] = await messaging.send(message).then((id) => ({ sent: true, id, code: '', message: '' }), refusal);
  }
  return results;
}

async function sendEach() {
  messaging.enableLegacyHttpTransport();
  const { responses } = await messaging.sendEach(messages.map((m) => m.message));
  return Object.fromEntries(responses.map((r, i) => [
    messages[i].name,
    r.success ? { sent: true, id: r.messageId, code: '', message: '' } : refusal(r.error),
  ]));
}

const results = { send: await send(), sendEach: await sendEach() };
await app.delete();
console.log(JSON.stringify(results));
