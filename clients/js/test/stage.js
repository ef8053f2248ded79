// What the tests stand on: a gateway that a Go test runs (test/sdk), a line to it
// that can be cut, and stock clients.
import { setTimeout as pause } from "node:timers/promises";
import Pusher from "pusher-js";
import Server from "pusher";
import { resume } from "../index.js";

const { GATEWAY_PORT, LINE_PORT, STEER_URL } = process.env;
const key = "app-key";
const patience = 15_000;

/** The app's backend. */
export const backend = new Server({
  appId: "1",
  key,
  secret: "app-secret",
  host: "127.0.0.1",
  port: GATEWAY_PORT,
  useTLS: false,
  encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64"),
});

/**
 * Has the Go test do something: cut, cut/BYTES, now/EVENT (cut right before that event),
 * next/EVENT (the same on the next connection), close/CODE, kill, drain.
 */
export const steer = async (what) => {
  const answer = await fetch(`${STEER_URL}/${what}`, { method: "POST" });
  if (!answer.ok) throw new Error(`${what}: ${await answer.text()}`);
};

export const until = async (what, ok) => {
  for (const end = Date.now() + patience; !ok(); await pause(5)) {
    if (Date.now() > end) throw new Error("in vain: " + what);
  }
};

const clients = new Set();

/** A stock client. */
export const connect = (user = "ana") => {
  const pusher = new Pusher(key, {
    cluster: "",
    wsHost: "127.0.0.1",
    wsPort: Number(LINE_PORT),
    forceTLS: false,
    enabledTransports: ["ws"],
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) =>
        callback(
          null,
          backend.authorizeChannel(socketId, channelName, channelName.startsWith("presence-") ? { user_id: user } : undefined),
        ),
    },
    userAuthentication: {
      customHandler: ({ socketId }, callback) => callback(null, backend.authenticateUser(socketId, { id: user })),
    },
  });
  clients.add(pusher);
  return pusher;
};

export const disconnectAll = () => {
  for (const pusher of clients) pusher.disconnect();
  clients.clear();
};

export const connected = (pusher) => until("connected", () => pusher.connection.state === "connected");

/** A stock client that resumes, and the gaps that it was told of. */
export const connectResuming = (user, positions) => {
  const pusher = connect(user);
  const gaps = [];
  const resuming = resume(pusher, { onGap: (gap) => gaps.push(gap), positions });
  return { pusher, gaps, resuming };
};

/** Subscribes, waits for it, and gives the list of what is heard: the data of events "n". */
export const listen = async (pusher, name) => {
  const heard = [];
  const channel = pusher.subscribe(name);
  channel.bind("n", (n) => heard.push(n));
  await until("subscribed to " + name, () => channel.subscribed);
  return heard;
};

/** Breaks a client's connection, does something, and waits until there is another. */
export const broken = async (pusher, how, meanwhile) => {
  const before = pusher.connection.socket_id;
  await steer(how);
  await meanwhile?.();
  await until("a new connection", () => pusher.connection.state === "connected" && pusher.connection.socket_id !== before);
};

/** Publishes the numbers from up to to, each to all the channels. */
export const count = async (channels, from, to) => {
  for (let n = from; n <= to; n++) await backend.triggerBatch(channels.map((channel) => ({ channel, name: "n", data: String(n) })));
};

/** Waits until nobody is subscribed to a channel. */
export const vacant = async (channel) => {
  let occupied = true;
  const look = async () => ({ occupied } = await (await backend.get({ path: "/channels/" + channel })).json());
  for (const end = Date.now() + patience; occupied; await look()) {
    if (Date.now() > end) throw new Error("in vain: nobody in " + channel);
  }
};

export const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
