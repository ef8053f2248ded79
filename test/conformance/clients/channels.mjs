// Lines 5 to 7: every kind of channel, authorisation, names.

const kinds = ["", "private-", "presence-", "cache-", "private-cache-", "presence-cache-"];
const encrypted = ["private-encrypted-", "private-encrypted-cache-"];
const all = (t) => (t.encryption ? [...kinds, ...encrypted] : kinds);

// each does something for all kinds of channels, with a client of its own for each.
const each = (what) => (t) =>
  Promise.all(all(t).map(async (kind) => {
    const pusher = await t.connect({ as: t.name("user") });
    await what(t, pusher, t.name(kind));
  }));

async function denied(t, options, name, wanted) {
  const pusher = await t.connect(options);
  const told = t.error(pusher);
  const error = await t.once(pusher.subscribe(name), "pusher:subscription_error");
  t.equal([error.type, error.status], wanted, "subscription_error");
  const { code } = await told;
  t.equal([code, pusher.connection.state], [null, "connected"], "the connection");
}

const admitted = async (t, options, name) => t.subscribe(await t.connect(options), name);

// An illegal name is answered by an error, and the connection stays.
async function illegal(t, name) {
  const pusher = await t.connect();
  const told = t.error(pusher);
  pusher.subscribe(name);
  const { code, message } = await told;
  t.equal(code, null, "code");
  t.ok(message.startsWith("Invalid channel name"), message);
  t.equal(pusher.connection.state, "connected", "state");
}

export default {
  "subscribe sdk-public sdk-private": each(async (t, pusher, name) => {
    const [channel] = await t.subscribe(pusher, name);
    for (const data of [{ "ü": ["<&>", 1, null, true] }, "plain text"]) {
      const heard = t.once(channel, "greeting");
      await t.trigger(name, "greeting", data);
      t.equal(await heard, data, `event on ${name}`);
    }
  }),

  "subscribe-twice": each(async (t, pusher, name) => {
    const [channel] = await t.subscribe(pusher, name);
    const told = t.error(pusher);
    pusher.send_event("pusher:subscribe", { channel: name, auth: "" });
    const { code, message } = await told;
    t.equal([code, message], [null, `Existing subscription to channel ${name}`], "error");
    const heard = t.record(channel);
    await t.settled(channel);
    t.equal(heard, [["settled", {}]], "once, and no subscription_error");
  }),

  "unsubscribe resubscribe": each(async (t, pusher, name) => {
    const [channel] = await t.subscribe(pusher, name);
    const heard = t.record(channel);
    pusher.unsubscribe(name);
    await t.vacated(name);
    await t.trigger(name, "unheard", {});
    const [again] = await t.subscribe(pusher, name);
    const news = t.once(again, "news");
    await t.trigger(name, "news", { again: true });
    t.equal(await news, { again: true }, "after coming back");
    t.equal(heard, [], "heard while away");
  }),

  "unsubscribe-unknown": each(async (t, pusher, name) => {
    const told = t.error(pusher);
    pusher.send_event("pusher:unsubscribe", { channel: name });
    const { code, message } = await told;
    t.equal(code, null, "code");
    t.ok(message.startsWith(`No current subscription to channel ${name}`), message);
  }),

  "order": each(async (t, pusher, name) => {
    const cache = name.includes("cache-");
    const order = async (wanted) => {
      const channel = pusher.subscribe(name);
      const heard = t.record(channel);
      await t.once(channel, "pusher:subscription_succeeded");
      await t.settled(channel);
      t.equal(heard.map(([event]) => event), [...wanted, "settled"], name);
    };
    await order(["pusher:subscription_succeeded", ...(cache ? ["pusher:cache_miss"] : [])]);
    await t.trigger(name, "headline", { n: 1 });
    pusher.unsubscribe(name);
    await t.vacated(name);
    await order(["pusher:subscription_succeeded", ...(cache ? ["headline"] : [])]);
  }),

  "auth-right": async (t) => {
    await admitted(t, {}, t.name("private-"));
    await admitted(t, { as: t.name("u") }, t.name("presence-"));
  },
  "auth-signature": (t) => denied(t, { auth: { spoil: "signature" } }, t.name("private-"), ["AuthError", 401]),
  "auth-key": (t) => denied(t, { auth: { spoil: "key" } }, t.name("private-"), ["AuthError", 401]),
  "auth-missing": (t) => denied(t, { auth: { spoil: "missing" } }, t.name("private-"), ["AuthError", 401]),
  "auth-socket": (t) => denied(t, { auth: { spoil: "socket" } }, t.name("private-"), ["AuthError", 401]),
  "auth-denied": async (t) => {
    const pusher = await t.connect({ auth: { spoil: "denied" } });
    const error = await t.once(pusher.subscribe(t.name("private-")), "pusher:subscription_error");
    t.equal([error.type, error.status], ["AuthError", 403], "subscription_error");
  },
  "auth-channel-data": async (t) => {
    const text = '{"user_id":"u1"}';
    await admitted(t, { auth: { text } }, t.name("private-"));
    await admitted(t, {}, t.name("private-"));
    await denied(t, { auth: { text, signs: '{"user_id":"u2"}' } }, t.name("private-"), ["AuthError", 401]);
  },
  "auth-bytes": async (t) => {
    const a7 = '{"user_id": "zoë", "user_info": {"name": "Ünï ☕"}}';
    const a8 = '{"user_id": "zo\\u00eb", "user_info": {"name": "\\u00dcn\\u00ef \\u2615"}}';
    for (const text of [a7, a8]) {
      const [, members] = await admitted(t, { auth: { text } }, t.name("presence-"));
      t.equal(members.me, { id: "zoë", info: { name: "Ünï ☕" } }, text);
    }
    await denied(t, { auth: { text: a7, signs: a8 } }, t.name("presence-"), ["AuthError", 401]);
  },

  "name-length": async (t) => {
    const pusher = await t.connect();
    await t.subscribe(pusher, t.name("").padEnd(164, "x"));
    await illegal(t, t.name("").padEnd(165, "x"));
  },
  "name-punctuation": async (t) => {
    const pusher = await t.connect();
    for (const sign of "_-=@,.;") {
      const [channel] = await t.subscribe(pusher, t.name(sign) + sign);
      await t.settled(channel);
    }
  },
  "name-empty": (t) => illegal(t, ""),
  "name-unicode": (t) => illegal(t, t.name("ü")),
  "name-space": (t) => illegal(t, t.name("a ")),
};
