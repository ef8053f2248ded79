// Line 19: where no WebSocket passes, over xhr_streaming and xhr_polling.

const transports = ["xhr_streaming", "xhr_polling"];

// A page has six connections to a host at most, and each client here holds one all
// the time: so these checks go one by one, with two clients each.
let last = Promise.resolve();
const alone = (check) => (t) => {
  const now = last.then(() => check(t)).finally(() => t.close());
  last = now.catch(() => {});
  return now;
};

const transportOf = (pusher) => pusher.connection.connection.transport.name;

async function connect(t, transport, options) {
  const pusher = await t.connect({ enabledTransports: [transport], ...options });
  t.equal(transportOf(pusher), transport, "transport");
  return pusher;
}

// all that clients do, between two of them.
const everything = (transport) => alone(async (t) => {
  const user = t.name("u");
  const ana = await connect(t, transport, { as: "ana", user });
  const bob = await connect(t, transport, { as: "bob" });
  const names = ["room", "private-", "presence-"].map(t.name, t);
  for (const name of names) {
    const [a] = await t.subscribe(ana, name);
    const joined = name === names[2] && t.once(a, "pusher:member_added");
    const [b] = await t.subscribe(bob, name);
    if (joined) t.equal((await joined).id, "bob", "joined");
    const heard = [t.once(a, "e"), t.once(b, "e")];
    await t.trigger(name, "e", { "ü": 1 });
    t.equal(await Promise.all(heard), [{ "ü": 1 }, { "ü": 1 }], name);
  }
  const there = t.once(bob.channel(names[1]), "client-x");
  ana.channel(names[1]).trigger("client-x", [1]);
  t.equal(await there, [1], "to bob");
  const back = t.once(ana.channel(names[2]), "client-y");
  bob.channel(names[2]).trigger("client-y", { n: 2 });
  t.equal(await back, [{ n: 2 }, { user_id: "bob" }], "to ana");

  await t.signin(ana);
  const greeted = t.once(ana.user, "hello");
  await t.server("sendToUser", user, "hello", { x: 1 });
  t.equal(await greeted, { x: 1 }, "to the user");
  const told = t.once(ana.connection, "error");
  const gone = t.once(bob.channel(names[2]), "pusher:member_removed");
  await t.server("terminateUserConnections", user);
  t.equal((await told).data.code, 4009, "code");
  t.equal((await gone).id, "ana", "gone");
  t.equal([ana, bob].map((c) => c.connection.state), ["disconnected", "connected"], "states");
});

const each = (check) => alone((t) => Promise.all(transports.map((transport) => check(t, transport))));

export default {
  "http-streaming": everything("xhr_streaming"),
  "http-polling": everything("xhr_polling"),

  "http-order": each(async (t, transport) => {
    const pusher = await connect(t, transport);
    const name = t.name(transport);
    const [channel] = await t.subscribe(pusher, name);
    const heard = [];
    channel.bind("n", (n) => heard.push(n));
    for (let n = 0; n < 100; n += 10) {
      const batch = Array.from({ length: 10 }, (_, i) => ({ channel: name, name: "n", data: n + i }));
      t.equal((await t.server("triggerBatch", batch)).status, 200, "batch");
    }
    await t.settled(channel);
    t.equal(heard, Array.from({ length: 100 }, (_, n) => n), transport);
  }),

  "http-refused": each(async (t, transport) => {
    const pusher = t.open({ key: "nobody", enabledTransports: [transport] });
    const told = t.once(pusher.connection, "error");
    await t.once(pusher.connection, "disconnected");
    t.equal((await told).error.data.code, 4001, transport);
  }),

  "http-back": each(async (t, transport) => {
    const relay = await t.relay();
    const pusher = await connect(t, transport, { httpPort: relay.port });
    const [channel] = await t.subscribe(pusher, t.name(transport));
    const before = pusher.connection.socket_id;
    // Between two polls there may be nothing to cut. Nor is there once it is noticed,
    // for a second: pusher-js gives xhr_streaming up when it has been cut twice.
    let noticed = false;
    pusher.connection.bind("error", () => (noticed = true));
    await t.until(`${transport}: the cut is noticed`, async () => {
      await relay.end();
      return noticed;
    });
    await t.until(`${transport}: back`, () => pusher.connection.state === "connected" && pusher.connection.socket_id !== before);
    await t.until(`${transport}: subscribed again`, () => channel.subscribed);
    await t.settled(channel);
  }),

  // Nothing listens where the WebSocket would go.
  "http-turn": each(async (t, transport) => {
    const pusher = await t.connect({ wsPort: 1, enabledTransports: ["ws", transport] });
    t.equal(transportOf(pusher), transport, "transport");
    const [channel] = await t.subscribe(pusher, t.name(transport));
    await t.settled(channel);
  }),
};
