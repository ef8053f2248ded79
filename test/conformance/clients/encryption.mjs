// Encrypted channels, by clients that carry the cipher. The vectors of E are
// published as they stand: the gateway is blind to what it passes on.

const vector = (t, id) => {
  const v = t.vectors.find((one) => one.id === id);
  const secret = v.shared_secret_hex ?? t.vectors.find((one) => one.channel === v.channel && one.shared_secret_hex).shared_secret_hex;
  const bytes = secret.match(/../g).map((byte) => String.fromCharCode(parseInt(byte, 16)));
  return { ...v, shared_secret: btoa(bytes.join("")) };
};

const decoded = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

// publish sends event data that is encrypted already, which the SDK's trigger
// would do a second time.
const publish = (t, name, channel, data) =>
  t.server("post", { path: "/events", body: { name, channels: [channel], data } });

async function opens(t, id) {
  const { channel, shared_secret, event_data, plaintext } = vector(t, id);
  const pusher = await t.connect({ auth: { shared_secret } });
  const [there] = await t.subscribe(pusher, channel);
  const sealed = t.name("sealed-") + id; // others publish to the channel too
  const heard = t.once(there, sealed);
  await publish(t, sealed, channel, event_data);
  t.equal((await heard) ?? "", decoded(plaintext), id); // the library drops an empty text
}

// drops: the client cannot open it, asks for another key, and gives up.
async function drops(t, channel, shared_secret, event_data) {
  const pusher = await t.connect({ auth: { shared_secret } });
  const [there] = await t.subscribe(pusher, channel);
  const sealed = t.name("sealed-") + event_data.length;
  const heard = t.record(there);
  const frame = t.once(pusher.connection, "message", ({ event }) => event === sealed);
  await publish(t, sealed, channel, event_data);
  await frame;
  const [plain] = await t.subscribe(pusher, t.name("plain"));
  await t.settled(plain);
  t.ok(!heard.some(([event]) => event === sealed), "opened");
}

export default {
  "sdk-encrypted": async (t) => {
    for (const kind of ["private-encrypted-", "private-encrypted-cache-"]) {
      const name = t.name(kind);
      const pusher = await t.connect();
      const [channel] = await t.subscribe(pusher, name);
      const frames = t.record({ connection: pusher.connection });
      const heard = t.once(channel, "secret");
      await t.trigger(name, "secret", { "ü": "☕" });
      t.equal(await heard, { "ü": "☕" }, "opened");
      t.equal(Object.keys(frames.find(({ event }) => event === "secret").data).sort(), ["ciphertext", "nonce"], "on the wire");
    }
    const late = (await t.connect()).subscribe(t.name("private-encrypted-cache-"));
    t.equal(await t.once(late, "secret"), { "ü": "☕" }, "out of the cache");
  },

  "vector-e1 vector-e7": (t) => opens(t, "E7"), // sealed with the secret of E1
  "vector-e2": (t) => secretOf(t, "E2"),
  "vector-e3": (t) => secretOf(t, "E3"),
  "vector-e4": (t) => opens(t, "E4"),
  "vector-e5": (t) => opens(t, "E5"),
  "vector-e6": (t) => opens(t, "E6"),
  "vector-e-negative": async (t) => {
    const [e3, e4] = [vector(t, "E3"), vector(t, "E4")];
    const { nonce, ciphertext } = JSON.parse(e4.event_data);
    const bytes = atob(ciphertext);
    const changed = bytes.slice(0, -1) + String.fromCharCode(bytes.charCodeAt(bytes.length - 1) ^ 1);
    await drops(t, e4.channel, e4.shared_secret, JSON.stringify({ nonce, ciphertext: btoa(changed) }));
    await drops(t, e4.channel, e3.shared_secret, e4.event_data);
  },
};

// secretOf: the backend's SDK hands out the secret of the vector.
async function secretOf(t, id) {
  const v = vector(t, id);
  const pusher = await t.connect();
  const { shared_secret } = await t.post(`${t.backend}/sign`, { socket_id: pusher.connection.socket_id, channel_name: v.channel });
  t.equal(shared_secret, v.shared_secret_base64, "shared_secret");
  await t.subscribe(pusher, v.channel);
}
