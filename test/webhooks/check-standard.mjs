// Has the unmodified standardwebhooks for Node check requests of webhooks as a backend
// would, with each of the secrets that are in force, and prints, as JSON, what it makes
// of each. Standard input: a list of {headers, rawBody}.
import fs from 'node:fs';
import { Webhook } from 'standardwebhooks';

const checks = process.env.SECRETS.split(',').map((secret) => new Webhook(secret));
const results = JSON.parse(fs.readFileSync(0, 'utf8')).map(({ headers, rawBody }) => {
  try {
    const [event] = checks.map((webhook) => webhook.verify(rawBody, headers));
    return { valid: true, ...event };
  } catch (error) {
    return { valid: false, why: String(error) };
  }
});
console.log(JSON.stringify(results));
