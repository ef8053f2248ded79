// Lines 14 to 16 and the vectors, by the server SDK itself, with no client beside.

const vectors = (t, kind) => t.vectors.filter(({ id }) => id[0] === kind);

// fails tells which status the gateway answered with.
const fails = async (t, status, part, ...call) => {
  const answer = await t.server(...call);
  t.equal(answer.status, status, call[0]);
  t.ok(answer.error.includes(part), answer.error);
};

// serverOf gives the SDK for the key pair of a vector.
export default (serverOf) => ({
  "answers": async (t) => {
    const room = t.name("room");
    t.equal(await t.server("trigger", room, "e", {}), { status: 200, body: "{}" }, "trigger");
    t.equal(await t.server("triggerBatch", [{ channel: room, name: "e", data: "x" }]), { status: 200, body: "{}" }, "triggerBatch");
    t.equal(await t.server("sendToUser", t.name("u"), "e", {}), { status: 200, body: "{}" }, "sendToUser");
    t.equal(await t.server("terminateUserConnections", t.name("u")), { status: 200, body: "{}" }, "terminateUserConnections");
    t.equal(await t.get("/channels", { filter_by_prefix: room }), { channels: {} }, "channels");
    t.equal(await t.get(`/channels/${room}`), { occupied: false }, "channel");
    t.equal(await t.get(`/channels/${t.name("presence-")}/users`), { users: [] }, "users");
  },
  "signature-secret": async (t) => {
    const answer = await t.serverOf("forged", "trigger", t.name("room"), "e", {});
    t.equal(answer.status, 401, "a wrong secret");
    t.ok(answer.error.startsWith("Invalid signature"), answer.error);
  },
  "limit-channels": async (t) => {
    const names = Array.from({ length: 100 }, (_, i) => t.name("room") + i);
    await t.trigger(names, "e", {});
  },
  "limit-batch": async (t) => {
    const batch = (n) => Array.from({ length: n }, () => ({ channel: t.name("room"), name: "e", data: "x" }));
    t.equal((await t.server("triggerBatch", batch(10))).status, 200, "ten");
    await fails(t, 400, "1 to 10 events", "triggerBatch", batch(11));
  },
  "limit-bytes": async (t) => {
    await t.trigger(t.name("room"), "e", "x".repeat(10_240));
    await fails(t, 413, "allowed maximum (10240 bytes)", "trigger", t.name("room"), "e", "x".repeat(10_241));
  },
  "names-published": async (t) => {
    await fails(t, 400, "channel name", "trigger", "x".repeat(165), "e", {});
    await fails(t, 400, "belong to the protocol", "trigger", t.name("room"), "pusher:e", {});
  },
  "vectors-a vectors-u": async (t) => {
    for (const v of [...vectors(t, "A"), ...vectors(t, "U")]) {
      const [, socket, channel, data] = v.string_to_sign.match(/^([\d.]+):([^:]+|:user:):?(.*)$/s);
      const value = data && JSON.parse(data);
      const server = serverOf(v);
      if (data && JSON.stringify(value) !== data) { // bytes that this SDK would not write
        t.equal(`${v.key}:${server.config.token.sign(v.string_to_sign)}`, v.auth, v.id);
        continue;
      }
      const user = channel === ":user:";
      t.equal((user ? server.authenticateUser(socket, value) : server.authorizeChannel(socket, channel, value || undefined)).auth, v.auth, v.id);
    }
  },
  "vectors-w": async (t) => {
    for (const v of vectors(t, "W")) {
      const check = (rawBody) => {
        const headers = { "content-type": "application/json", "x-pusher-key": v["X-Pusher-Key"], "x-pusher-signature": v["X-Pusher-Signature"] };
        return serverOf(v).webhook({ headers, rawBody });
      };
      t.ok(check(v.body).isValid(), v.id);
      t.equal(check(v.body).getEvents(), JSON.parse(v.body).events, v.id);
      t.ok(!check(v.body + "\n").isValid(), `${v.id} with a newline more`);
    }
  },
});
