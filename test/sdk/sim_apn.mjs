// Drives the unmodified @parse/node-apn against simulated APNs and prints, as
// JSON, what it reports for each device token of $DEVICES (name to token).
import apn from '@parse/node-apn';

const { APNS_PORT, APNS_CA, APNS_KEY, APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC, DEVICES } = process.env;

const provider = new apn.Provider({
  token: { key: APNS_KEY, keyId: APNS_KEY_ID, teamId: APNS_TEAM_ID },
  ca: APNS_CA,
  address: `localhost:${APNS_PORT}`,
  port: Number(APNS_PORT),
  production: true,
});

const note = new apn.Notification({ topic: APNS_TOPIC, pushType: 'alert' });
note.alert = { title: 'node-apn', body: 'hello' };
note.collapseId = 'sim';

const results = {};
for (const [name, token] of Object.entries(JSON.parse(DEVICES))) {
  const { sent, failed } = await provider.send(note, token);
  results[name] = {
    sent: sent.length === 1,
    status: Number(failed[0]?.status ?? 200),
    reason: failed[0]?.response?.reason ?? '',
    timestamp: failed[0]?.response?.timestamp ?? 0,
    error: failed[0]?.error ? String(failed[0].error) : '',
  };
}
await provider.shutdown();
console.log(JSON.stringify(results));
