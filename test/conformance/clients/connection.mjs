// Lines 1 to 4 of the acceptance list: connecting, refusals, keeping alive.

// refused tells by which code a client was stopped for good.
async function refused(t, options) {
  const pusher = t.open(options);
  const told = t.once(pusher.connection, "error");
  const stopped = t.once(pusher.connection, "disconnected");
  const { error } = await told;
  await stopped;
  t.equal(pusher.connection.state, "disconnected", "state");
  return error.data.code;
}

export default {
  "greeting": async (t) => {
    const pusher = await t.connect();
    t.ok(/^\d+\.\d+$/.test(pusher.connection.socket_id), `socket id ${pusher.connection.socket_id}`);
    t.ok(pusher.connection.activityTimeout === 120_000, `activity timeout ${pusher.connection.activityTimeout}`);
  },

  "unknown-key": async (t) => t.equal(await refused(t, { key: "nobody" }), 4001, "code"),

  "disabled": async (t) => t.equal(await refused(t, { app: "disabled" }), 4003, "code"),

  "tls-only": async (t) => {
    const pusher = t.open({ app: "tls" });
    const before = pusher.connection.usingTLS;
    const { error } = await t.once(pusher.connection, "error");
    t.equal([before, error.data.code], [false, 4000], "before and code");
    await t.until("it tries TLS", () => pusher.connection.usingTLS);
  },

  "wrong-path": async (t) => t.equal(await refused(t, { wsPath: "/mistyped" }), 4005, "code"),

  // One connection is all that the app may have, so of these two one is too many.
  "over-quota": async (t) => {
    const codes = [];
    for (const pusher of [t.open({ app: "full" }), t.open({ app: "full" })]) {
      pusher.connection.bind("error", ({ error }) => codes.push(error?.data.code));
      pusher.connection.bind("disconnected", () => codes.push("disconnected"));
    }
    await t.until("a refusal", () => codes.length >= 2);
    t.equal(codes.slice(0, 2), [4004, "disconnected"], "heard");
  },

  "ping-client": async (t) => {
    const pusher = await t.connect({ activityTimeout: 500, pongTimeout: 20_000 });
    const before = pusher.connection.socket_id;
    for (let i = 0; i < 2; i++) await t.once(pusher.connection, "message", ({ event }) => event === "pusher:pong");
    t.equal([pusher.connection.state, pusher.connection.socket_id], ["connected", before], "after two pings");
  },

  "unsupported": async (t) => {
    const pusher = await t.connect();
    const told = t.error(pusher);
    pusher.send_event("pusher:made-up", {});
    const { code, message } = await told;
    t.equal(code, null, "code");
    t.ok(message.includes("Unsupported event received on socket: pusher:made-up"), message);
    t.equal(pusher.connection.state, "connected", "state");
  },
};
