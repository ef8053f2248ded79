// Has the unmodified pusher for Node check requests of webhooks as a backend would,
// and prints, as JSON, what it makes of each. Standard input: a list of
// {headers, rawBody}.
import fs from 'node:fs';
import Pusher from 'pusher';

const pusher = new Pusher({ appId: '1', key: process.env.KEY, secret: process.env.SECRET, cluster: 'any' });
const results = JSON.parse(fs.readFileSync(0, 'utf8')).map((request) => {
  const webhook = pusher.webhook(request);
  const valid = webhook.isValid();
  return valid ? { valid, time: webhook.getTime().getTime(), events: webhook.getEvents() } : { valid };
});
console.log(JSON.stringify(results));
