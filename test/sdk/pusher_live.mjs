// The unmodified npm packages pusher (server) and pusher-js (client) against the
// door at 127.0.0.1:PORT, the client over TRANSPORT. Prints what each of them saw as
// one JSON object.
import crypto from "node:crypto";
import PusherServer from "pusher";
import PusherClient from "pusher-js";

const port = Number(process.env.PORT);
const [appId, key, secret] = ["1", "app-key", "app-secret"];
const patience = 10_000;

// How a client finds the door: over a WebSocket, or where none passes over HTTP.
const place = {
  cluster: "any",
  wsHost: "127.0.0.1",
  wsPort: port,
  httpHost: "127.0.0.1",
  httpPort: port,
  forceTLS: false,
  enabledTransports: [process.env.TRANSPORT],
};

const server = new PusherServer({ appId, key, secret, host: "127.0.0.1", port, useTLS: false });

// Auth handlers in the script stand for the app's backend; member is who it
// takes the client for, watchlist whom that member watches.
function connect(member, watchlist) {
  return new PusherClient(key, {
    ...place,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => {
        const data = channelName.startsWith("presence-")
          ? { user_id: member, user_info: { name: member.toUpperCase() } }
          : undefined;
        callback(null, server.authorizeChannel(socketId, channelName, data));
      },
    },
    userAuthentication: {
      customHandler: ({ socketId }, callback) =>
        callback(null, server.authenticateUser(socketId, { id: member, user_info: { name: member.toUpperCase() }, watchlist })),
    },
  });
}

function within(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("in vain: " + what)), patience);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

const once = (target, event) =>
  within(event, (done) => {
    const heard = (value) => {
      target.unbind(event, heard);
      done(value);
    };
    target.bind(event, heard);
  });

const subscribed = async (client, name) => {
  const channel = client.subscribe(name);
  const answer = await once(channel, "pusher:subscription_succeeded");
  return [channel, answer];
};

// Everything a client is sent, to prove what it is not sent.
const record = (channel) => {
  const events = [];
  channel.bind_global((name, data) => events.push([name, data]));
  return events;
};

async function raw({ at = Math.floor(Date.now() / 1000), signingSecret = secret }) {
  const body = JSON.stringify({ name: "raw", data: "{}", channels: ["news"] });
  const md5 = crypto.createHash("md5").update(body).digest("hex");
  const query = `auth_key=${key}&auth_timestamp=${at}&auth_version=1.0&body_md5=${md5}`;
  const signature = crypto
    .createHmac("sha256", signingSecret)
    .update(`POST\n/apps/${appId}/events\n${query}`)
    .digest("hex");
  const url = `http://127.0.0.1:${port}/apps/${appId}/events?${query}&auth_signature=${signature}`;
  const response = await fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } });
  return [response.status, await response.text()];
}

async function eventsAndExclusion(ana, bob, results) {
  const [anaNews] = await subscribed(ana, "news");
  const [bobNews] = await subscribed(bob, "news");
  const [anaPrivate] = await subscribed(ana, "private-room");
  const anaHeard = record(anaNews);

  const onPublic = once(bobNews, "greeting");
  const answer = await server.trigger("news", "greeting", { hi: "<ü>", n: 1 }, { socket_id: ana.connection.socket_id });
  results.triggerStatus = answer.status;
  results.triggerBody = await answer.text();
  results.publicEvent = await onPublic;

  const onPrivate = once(anaPrivate, "secret");
  await server.trigger(["private-room", "elsewhere"], "secret", "plain text");
  results.privateEvent = await onPrivate;

  const last = once(anaNews, "last");
  await server.triggerBatch([
    { channel: "news", name: "hidden", data: "1", socket_id: ana.connection.socket_id },
    { channel: "news", name: "last", data: "2" },
  ]);
  await last;
  results.excludedHeard = anaHeard.map(([name]) => name);

  const info = await server.trigger("news", "e", "x", { info: "subscription_count" });
  results.info = await info.json();
}

async function presence(ana, bob, bob2, results) {
  const [room, members] = await subscribed(ana, "presence-room");
  results.presenceAlone = { count: members.count, me: members.me, members: members.members };
  const added = once(room, "pusher:member_added");
  const [, both] = await subscribed(bob, "presence-room");
  results.presenceBoth = { count: both.count, me: both.me.id, ids: Object.keys(both.members).sort() };
  results.memberAdded = await added;
  const heard = record(room);
  await subscribed(bob2, "presence-room"); // bob's second tab is not announced
  results.users = await (await server.get({ path: "/channels/presence-room/users" })).json();
  results.count = await (await server.get({ path: "/channels/presence-room", params: { info: "user_count,subscription_count" } })).json();
  results.channels = await (await server.get({ path: "/channels", params: { filter_by_prefix: "presence-", info: "user_count" } })).json();
  bob.unsubscribe("presence-room");
  const removed = once(room, "pusher:member_removed");
  bob2.disconnect();
  results.memberRemoved = await removed;
  results.presenceHeard = heard.map(([name]) => name);
}

async function users(ana, results) {
  ana.signin();
  const user = await once(ana, "pusher:signin_success");
  results.signedIn = JSON.parse(user.user_data).id;
  await ana.user.signinDonePromise;
  await within("the user's channel", (done) => {
    const look = setInterval(() => {
      if (ana.user.serverToUserChannel?.subscribed) {
        clearInterval(look);
        done();
      }
    }, 5);
  });
  const hello = within("hello", (done) => ana.user.bind("hello", done));
  await server.sendToUser("ana", "hello", { x: 1 });
  results.toUser = await hello;
}

async function clientEvents(ana, bob, results) {
  const anaRoom = ana.channel("private-room");
  const [bobRoom] = await subscribed(bob, "private-room");
  const anaHeard = record(anaRoom);
  const typing = once(bobRoom, "client-typing");
  results.clientSent = anaRoom.trigger("client-typing", { on: true, "ü": [1] });
  results.clientEvent = await typing;

  const counted = [];
  const inOrder = within("8 client events", (done) =>
    bobRoom.bind("client-count", (n) => counted.push(n) === 8 && done()),
  );
  for (let n = 0; n < 8; n++) anaRoom.trigger("client-count", n);
  await inOrder;
  results.clientCounted = counted;

  const [anaPresence] = await subscribed(ana, "presence-whisper");
  const [bobPresence] = await subscribed(bob, "presence-whisper");
  const from = within("client event with metadata", (done) =>
    anaPresence.bind("client-hi", (data, metadata) => done([data, metadata])),
  );
  bobPresence.trigger("client-hi", "text");
  results.clientFrom = await from;

  const tooFast = once(ana.connection, "error");
  for (let i = 0; i < 40; i++) anaRoom.trigger("client-flood", i);
  results.clientTooFast = (await tooFast).data.code;
  results.clientState = ana.connection.state;

  const echo = within("the last of private-room", (done) => anaRoom.bind("last", done));
  await server.trigger("private-room", "last", {});
  await echo;
  results.clientEchoed = anaHeard.map(([name]) => name).filter((name) => name.startsWith("client-"));
  ana.unsubscribe("presence-whisper");
  bob.unsubscribe("presence-whisper");
}

// A handler that is bound before the subscription hears what comes right behind it.
const watched = (client, name, events) => {
  const heard = [];
  const channel = client.subscribe(name);
  return within(`${events} events of ${name}`, (done) =>
    channel.bind_global((event, data) => {
      heard.push([event, data]);
      if (heard.length === events) done([...heard]);
    }),
  );
};

async function cacheChannels(ana, bob, results) {
  results.cacheMiss = await watched(ana, "private-cache-news", 3);
  await server.trigger("private-cache-news", "headline", { n: 1 }, { socket_id: bob.connection.socket_id });
  results.cacheHit = await watched(bob, "private-cache-news", 3);
  const info = await server.get({ path: "/channels/private-cache-news", params: { info: "cache" } });
  results.cacheInfo = (await info.json()).cache;
}

// History is ours; what a stock client needs for it is public: send_event and bind.
async function resume(ana, bob, results) {
  const subscribe = (client, since) => {
    const told = once(client, "diaphone:resumed");
    client.send_event("pusher:subscribe", { channel: "log-1", auth: "", since });
    return told;
  };
  const { position, complete } = await subscribe(ana, "");
  results.resumedFromNothing = complete;
  await server.triggerBatch(["a", "b"].map((name) => ({ channel: "log-1", name: `log-${name}`, data: name })));
  const heard = [];
  bob.bind_global((name, data) => name.startsWith("log-") && heard.push(data));
  results.resumed = (await subscribe(bob, position)).complete;
  const live = once(bob, "log-c");
  await server.trigger("log-1", "log-c", "c");
  await live;
  results.resumedHeard = heard;
}

// More than one stream of the HTTP transports carries.
async function flood(ana, results) {
  const [channel] = await subscribed(ana, "flood");
  const text = "ü😀x".repeat(1_100); // 7 bytes, 4 UTF-16 units
  const heard = [];
  channel.bind("drop", ({ n, text: got }) => heard.push(got === text ? n : -1));
  for (let n = 0; n < 120; n += 10) {
    // A client that is further behind than the gateway's buffers is closed as slow.
    const last = within(`drop ${n + 9}`, (done) => channel.bind("drop", (drop) => drop.n === n + 9 && done()));
    await server.triggerBatch([...Array(10).keys()].map((i) => ({ channel: "flood", name: "drop", data: { n: n + i, text } })));
    await last;
  }
  results.flood = heard;
  ana.unsubscribe("flood");
}

async function counts(ana, bob, results) {
  const counted = within("a count of 2", (done) =>
    ana.subscribe("crowd").bind("pusher:subscription_count", ({ subscription_count }) => {
      if (subscription_count === 2) done(ana.channel("crowd").subscriptionCount);
    }),
  );
  await subscribed(bob, "crowd");
  results.count2 = await counted;
}

async function watchlists(results) {
  const eve = connect("eve", ["zoe", "max"]);
  const zoe = connect("zoe");
  await Promise.all([eve, zoe].map((client) => once(client.connection, "connected")));
  zoe.signin();
  await once(zoe, "pusher:signin_success");
  const heard = [];
  let wanted = 2;
  const enough = (what) =>
    within(what, (done) => {
      const look = setInterval(() => {
        if (heard.length >= wanted) {
          clearInterval(look);
          done();
        }
      }, 5);
    });
  for (const name of ["online", "offline"]) {
    eve.user.watchlist.bind(name, ({ user_ids }) => heard.push([name, ...user_ids]));
  }
  eve.signin();
  await enough("the first state");
  wanted = 3;
  zoe.disconnect();
  await enough("zoe offline");
  wanted = 4;
  const max = connect("max");
  max.signin();
  await enough("max online");
  results.watchlist = heard;
  eve.disconnect();
  max.disconnect();
}

async function reconnect(ana, results) {
  const before = ana.connection.socket_id;
  const states = [];
  ana.connection.bind("state_change", ({ current }) => states.push(current));
  const again = once(ana.connection, "connected");
  await fetch(`http://127.0.0.1:${port}/test/close/ana/4200`, { method: "POST" });
  await again;
  results.reconnectStates = [...states];
  results.newSocket = ana.connection.socket_id !== before;
  const news = ana.channel("news");
  if (!news.subscribed) await once(news, "pusher:subscription_succeeded");
  const back = once(news, "back");
  await server.trigger("news", "back", { again: true });
  results.afterReconnect = await back;
}

async function terminate(ana, results) {
  await within("sign-in again", (done) => {
    const look = setInterval(() => {
      if (ana.user.serverToUserChannel?.subscribed) {
        clearInterval(look);
        done();
      }
    }, 5);
  });
  const gone = once(ana.connection, "disconnected");
  const answer = await server.terminateUserConnections("ana");
  results.terminateStatus = answer.status;
  await gone;
  results.terminatedState = ana.connection.state;
}

async function refusals(results) {
  results.wrongSignature = await raw({ signingSecret: "wrong" });
  const now = Math.floor(Date.now() / 1000);
  results.late = await raw({ at: now - 601 });
  results.early = await raw({ at: now + 602 });
  results.right = await raw({});
  const wrong = new PusherServer({ appId, key, secret: "wrong", host: "127.0.0.1", port, useTLS: false });
  results.wrongSecret = await wrong.trigger("news", "e", "x").then(
    () => "accepted",
    (error) => error.status,
  );

  const stranger = new PusherClient("nobody", place);
  const told = once(stranger.connection, "error");
  const stopped = once(stranger.connection, "disconnected"); // for good, by the code
  results.unknownKey = (await told).error.data.code;
  await stopped;

  const forger = connect("eve");
  await once(forger.connection, "connected");
  forger.config.channelAuthorizer = (_, callback) => callback(null, { auth: key + ":" + "0".repeat(64) });
  const denied = once(forger.subscribe("private-room"), "pusher:subscription_error");
  results.forged = await denied;
  forger.disconnect();
}

const results = {};
const [ana, bob, bob2] = [connect("ana"), connect("bob"), connect("bob")];
await Promise.all([ana, bob, bob2].map((client) => once(client.connection, "connected")));
results.socketId = ana.connection.socket_id;
results.transport = ana.connection.connection.transport.name;
await eventsAndExclusion(ana, bob, results);
await clientEvents(ana, bob, results);
await cacheChannels(ana, bob, results);
await resume(ana, bob, results);
await counts(ana, bob, results);
await flood(ana, results);
await watchlists(results);
await presence(ana, bob, bob2, results);
await users(ana, results);
await reconnect(ana, results);
await terminate(ana, results);
await refusals(results);
bob.disconnect();
console.log(JSON.stringify(results));
process.exit(0);
