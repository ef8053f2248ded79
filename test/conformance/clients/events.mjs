// Lines 10, 11, 13 and 17: caches, client events, counts, exclusion; and resume,
// which is ours.

async function pair(t, name, options = {}) {
  const clients = await Promise.all(["ana", "bob"].map((as) => t.connect({ as, ...options })));
  const [[a], [b]] = await Promise.all(clients.map((c) => t.subscribe(c, name)));
  return { ana: clients[0], bob: clients[1], a, b };
}

// refuses checks that a client event is answered by an error and reaches nobody.
async function refuses(t, { app = "main", name, event = "client-x", data = {}, subscribed = true, wanted }) {
  const [from, to] = await Promise.all(["ana", "bob"].map((as) => t.connect({ as, app })));
  const [there] = await t.subscribe(to, name);
  if (subscribed) await t.subscribe(from, name);
  const heard = t.record(there);
  const told = t.error(from);
  from.send_event(event, data, name);
  const { code, message } = await told;
  t.equal(code, null, "code");
  t.ok(message.includes(wanted), message);
  const last = t.once(there, "settled");
  await t.serverOf(app, "trigger", name, "settled", {});
  await last;
  t.equal(heard, [["settled", {}]], "heard");
  t.equal(from.connection.state, "connected", "state");
}

export default {
  "cache-replay cache-info sdk-cache": async (t) => {
    const name = t.name("cache-");
    const pusher = await t.connect();
    const missed = t.once(pusher.subscribe(name), "pusher:cache_miss");
    await missed;
    t.equal(await t.get(`/channels/${name}`, { info: "cache" }), { occupied: true, cache: null }, "empty");
    await t.trigger(name, "old", {});
    // What the publisher excepted is for a newcomer all the same.
    const other = await t.connect();
    await t.trigger(name, "head.line", { "ü": " 1" }, { socket_id: other.connection.socket_id });
    const channel = other.subscribe(name);
    const heard = t.record(channel);
    await t.once(channel, "head.line");
    t.equal(heard, [["pusher:subscription_succeeded", {}], ["head.line", { "ü": " 1" }]], "replayed");
    const { cache } = await t.get(`/channels/${name}`, { info: "cache" });
    t.equal(cache.data, '{"ü":" 1"}', "info=cache");
    t.ok(cache.ttl > 1700 && cache.ttl <= 1800, `ttl ${cache.ttl}`);
  },

  "cache-api-only": async (t) => {
    const name = t.name("private-cache-");
    const { a, b } = await pair(t, name);
    await t.trigger(name, "by-api", 1);
    const typed = t.once(b, "client-typing");
    a.trigger("client-typing", {});
    await typed;
    const late = (await t.connect()).subscribe(name);
    const heard = t.record(late);
    await t.settled(await t.once(late, "pusher:subscription_succeeded").then(() => late));
    t.equal(heard.map(([event]) => event), ["pusher:subscription_succeeded", "by-api", "settled"], "replayed");
  },

  "whisper-echo sdk-whisper": async (t) => {
    const { a, b } = await pair(t, t.name("private-"));
    const [own, theirs] = [t.record(a), t.record(b)];
    const values = [{ on: true, "ü": [1] }, "text", 7, [null], null];
    for (const value of values) t.ok(a.trigger("client-typing", value), "trigger");
    await t.until("all of them", () => theirs.length === values.length);
    await t.settled(a);
    await t.until("settled at both", () => theirs.length > values.length);
    t.equal(theirs, [...values.map((v) => ["client-typing", v]), ["settled", {}]], "the other heard");
    t.equal(own, [["settled", {}]], "the sender heard");
  },
  "whisper-user": async (t) => {
    const { a, b } = await pair(t, t.name("presence-"));
    const heard = t.once(b, "client-typing");
    a.trigger("client-typing", "text");
    t.equal(await heard, ["text", { user_id: "ana" }], "with the sender");
  },
  "whisper-off": (t) => refuses(t, { app: "plain", name: t.name("private-"), wanted: "you must enable this feature" }),
  "whisper-name": async (t) => {
    for (const event of ["typing", "pusher:typing", "pusher_internal:member_added"])
      await refuses(t, { name: t.name("private-"), event, wanted: "Unsupported event received on socket" });
    await refuses(t, { name: t.name("private-"), event: "client-".padEnd(201, "x"), wanted: "Invalid client event" });
  },
  "whisper-public": (t) => refuses(t, { name: t.name("room"), wanted: "private and presence channels only" }),
  "whisper-stranger": (t) => refuses(t, { name: t.name("private-"), subscribed: false, wanted: "subscribed to" }),
  "whisper-size": (t) => refuses(t, { name: t.name("private-"), data: "x".repeat(10_241), wanted: "exceeds the allowed maximum (10240 bytes)" }),
  "whisper-rate": async (t) => {
    const { ana, a, b } = await pair(t, t.name("private-"));
    const told = t.error(ana);
    const heard = t.record(b);
    for (let i = 0; i < 11; i++) a.trigger("client-flood", i);
    t.equal((await told).code, 4301, "code");
    t.equal(ana.connection.state, "connected", "state");
    await t.until("ten of them", () => heard.length >= 10);
    await t.settled(b);
    t.equal(heard.length, 11, "ten arrived, and what the API sent");
  },

  "count-on": async (t) => {
    const name = t.name("room");
    const [ana, bob] = await Promise.all([t.connect({ app: "counting" }), t.connect({ app: "counting" })]);
    const counts = [];
    ana.subscribe(name).bind("pusher:subscription_count", ({ subscription_count: n }) => counts.push([n, ana.channel(name).subscriptionCount]));
    await t.until("a count of 1", () => counts.length === 1);
    await t.subscribe(bob, name);
    await t.until("a count of 2", () => counts.length === 2);
    bob.disconnect();
    await t.until("a count of 1 again", () => counts.length === 3);
    t.equal(counts, [[1, 1], [2, 2], [1, 1]], "counts");
  },
  "count-off": async (t) => {
    const { ana, a, b } = await pair(t, t.name("room"));
    const heard = t.record({ connection: ana.connection });
    await t.subscribe(await t.connect(), a.name);
    await t.settled(b);
    await t.settled(a);
    t.equal(heard.map(({ event }) => event), ["settled", "settled"], "heard");
  },
  "count-presence": async (t) => {
    const name = t.name("presence-");
    const [ana, bob] = await Promise.all(["ana", "bob"].map((as) => t.connect({ app: "counting", as })));
    const frames = t.record({ connection: ana.connection });
    const [room] = await t.subscribe(ana, name);
    await t.subscribe(bob, name);
    const last = t.once(room, "settled");
    await t.serverOf("counting", "trigger", name, "settled", {});
    await last;
    t.equal(frames.map(({ event }) => event), ["pusher_internal:subscription_succeeded", "pusher_internal:member_added", "settled"], "heard");
  },

  "except-single": async (t) => {
    const { ana, a, b } = await pair(t, t.name("room"));
    const [own, theirs] = [t.record(a), t.record(b)];
    await t.trigger(a.name, "hidden", {}, { socket_id: ana.connection.socket_id });
    await t.settled(a);
    await t.until("both events", () => theirs.length === 2);
    t.equal([own, theirs], [[["settled", {}]], [["hidden", {}], ["settled", {}]]], "heard");
  },
  "except-multi": async (t) => {
    const { ana, a, b } = await pair(t, t.name("room"));
    const [own, theirs] = [t.record(a), t.record(b)];
    await t.trigger([a.name, t.name("elsewhere")], "hidden", {}, { socket_id: ana.connection.socket_id });
    await t.settled(a);
    await t.until("both events", () => theirs.length === 2);
    t.equal(own, [["settled", {}]], "heard");
  },
  "except-batch": async (t) => {
    const { ana, a, b } = await pair(t, t.name("room"));
    const [own, theirs] = [t.record(a), t.record(b)];
    const { status, body } = await t.server("triggerBatch", [
      { channel: a.name, name: "hidden", data: "1", socket_id: ana.connection.socket_id },
      { channel: a.name, name: "seen", data: "2" },
    ]);
    t.equal([status, body], [200, "{}"], "batch");
    await t.settled(a);
    await t.until("all three", () => theirs.length === 3);
    t.equal(own, [["seen", 2], ["settled", {}]], "heard");
  },

  // What a stock client needs for it is public: send_event and bind.
  "resume": async (t) => {
    const name = t.name("log");
    const [ana, bob] = await Promise.all([t.connect(), t.connect()]);
    const subscribe = (client, since) => {
      const told = t.once(client, "diaphone:resumed");
      client.send_event("pusher:subscribe", { channel: name, auth: "", since });
      return told;
    };
    const { position, complete } = await subscribe(ana, "");
    t.equal(complete, false, "from nothing");
    for (const event of ["a", "b"]) await t.trigger(name, event, event);
    const heard = [];
    bob.connection.bind("message", (m) => m.channel === name && !m.event.includes(":") && heard.push(m.event));
    t.equal((await subscribe(bob, position)).complete, true, "complete");
    await t.trigger(name, "c", "c");
    await t.until("all three", () => heard.length === 3);
    t.equal(heard, ["a", "b", "c"], "heard");
  },
};
