// The backend of an app, as its developers would write it with the npm package
// pusher: the endpoints that clients ask for authorisation, and a way for checks to
// publish. It also serves the page for Chromium. What a request sets in "spoil" has
// the backend make a mistake, to see that the gateway finds it.
import crypto from "node:crypto";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import PusherServer from "pusher";

const require = createRequire(import.meta.url);
const js = "text/javascript";
const files = {
  "/pusher.js": require.resolve("pusher-js/dist/web/pusher.js"),
  "/pusher-with-encryption.js": require.resolve("pusher-js/dist/web/pusher-with-encryption.js"),
  "/echo.js": join(dirname(require.resolve("laravel-echo")), "echo.js"),
};
const page = `<!doctype html><meta charset="utf-8"><title>conformance</title><link rel="icon" href="data:,">`;

// serverOf gives the server SDK for one of the apps.
export function serverOf({ apps, port, masterKey }, name) {
  const { id, key, secret } = apps[name];
  return new PusherServer({
    appId: id, key, secret, host: "127.0.0.1", port, useTLS: false,
    encryptionMasterKeyBase64: masterKey,
  });
}

const hmac = (secret, text) => crypto.createHmac("sha256", secret).update(text).digest("hex");

function authoriseChannel(world, form) {
  const { socket_id, channel_name, app = "main", as, spoil, text, signs, shared_secret } = form;
  const { key, secret } = world.apps[app];
  if (spoil === "denied") return null;
  if (text !== undefined) { // channel_data to the byte, which the SDK would serialise anew
    const signed = `${socket_id}:${channel_name}:${signs ?? text}`;
    return { auth: `${key}:${hmac(secret, signed)}`, channel_data: text };
  }
  const member = channel_name.startsWith("presence-") && as ? JSON.parse(as) : undefined;
  const socket = spoil === "socket" ? "1.1" : socket_id;
  const answer = serverOf(world, app).authorizeChannel(socket, channel_name, member);
  if (spoil === "signature") answer.auth = `${key}:${"0".repeat(64)}`;
  if (spoil === "key") answer.auth = answer.auth.replace(key, "somebody");
  if (spoil === "missing") delete answer.auth;
  if (shared_secret) answer.shared_secret = shared_secret;
  return answer;
}

function authenticateUser(world, { socket_id, app = "main", user, watchlist, spoil }) {
  if (spoil === "denied") return null;
  const data = { id: user, user_info: { name: user.toUpperCase() } };
  if (watchlist) data.watchlist = JSON.parse(watchlist);
  const answer = serverOf(world, app).authenticateUser(socket_id, data);
  if (spoil === "signature") answer.auth = answer.auth.slice(0, -64) + "0".repeat(64);
  return answer;
}

const sign = (world, form) => (form.user ? authenticateUser(world, form) : authoriseChannel(world, form));

// call has the server SDK do something and tells what came of it.
async function call(world, { app = "main", method, args }) {
  try {
    const response = await serverOf(world, app)[method](...args);
    return { status: response.status, body: await response.text() };
  } catch (error) {
    return { status: error.status, error: String(error.body ?? error) };
  }
}

// told has the server SDK check and read the webhooks that have come to the backend.
async function told(world, { from }) {
  const response = await fetch(`${world.control}/told/${from}`);
  return (await response.json()).map((request) => {
    const webhook = serverOf(world, "told").webhook(request);
    const valid = webhook.isValid();
    return { valid, ...(valid && { time: webhook.getTime().getTime(), events: webhook.getEvents() }) };
  });
}

async function answer(world, request, body) {
  const path = new URL(request.url, "http://backend").pathname;
  const form = () => Object.fromEntries(new URLSearchParams(body));
  const json = (value) => (value ? [200, "application/json", JSON.stringify(value)] : [403, "text/plain", "Forbidden"]);
  switch (path) {
    case "/":
      return [200, "text/html", page];
    case "/pusher/auth":
    case "/broadcasting/auth":
      return json(authoriseChannel(world, form()));
    case "/pusher/user-auth":
    case "/broadcasting/user-auth":
      return json(authenticateUser(world, form()));
    case "/sign": // what a check wants signed without a client asking
      return json(sign(world, JSON.parse(body)));
    case "/told":
      return json(await told(world, JSON.parse(body)));
    case "/call":
      return json(await call(world, JSON.parse(body)));
  }
  if (files[path]) return [200, js, await readFile(files[path])];
  if (/^\/[a-z_]+\.mjs$/.test(path)) return [200, js, await readFile(new URL("." + path, import.meta.url))];
  return [404, "text/plain", "Not found"];
}

// backend starts the backend and gives its address.
export async function backend(world) {
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    try {
      const [status, type, content] = await answer(world, request, body);
      response.writeHead(status, { "content-type": type }).end(content);
    } catch (error) {
      response.writeHead(500, { "content-type": "text/plain" }).end(String(error.stack));
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${server.address().port}`;
}
