// Lines 19 and 20: what clients do when a connection ends.

// survives: a client in a public, a private and a presence channel, signed in, is
// back in all of them under another socket id after the end of its connection.
async function survives(t, port, end) {
  const user = t.name("u");
  const pusher = await t.connect({ port, as: user, user });
  const names = ["room", "private-", "presence-"].map((kind) => t.name(kind) + end.name);
  for (const name of names) await t.subscribe(pusher, name);
  await t.signin(pusher);
  const before = pusher.connection.socket_id;
  const states = [];
  pusher.connection.bind("state_change", ({ current }) => states.push(current));
  await end.now();
  await t.until(`${end.name}: back`, () => pusher.connection.state === "connected" && pusher.connection.socket_id !== before);
  t.equal(states[0], "connecting", `${end.name}: states`);
  await t.until(`${end.name}: subscribed again`, () => names.every((name) => pusher.channel(name).subscribed));
  await t.until(`${end.name}: signed in again`, () => pusher.user.serverToUserChannel?.subscribed);
  return { pusher, names };
}

const closedWith = (...codes) => (t) =>
  Promise.all(codes.map(async (code) => {
    const relay = await t.relay();
    const { pusher, names } = await survives(t, relay.port, { name: `${code}`, now: () => relay.end(code) });
    for (const name of names) await t.settled(pusher.channel(name));
  }));

export default {
  "reconnect-1001 sdk-reconnect": closedWith(1001),
  "reconnect-4100": closedWith(4100),
  "reconnect-4200": closedWith(4200, 4201, 4202),
  "reconnect-cut": closedWith(0),

  // A gateway of its own, for its sockets all go.
  "reconnect-restart": async (t) => {
    const { port } = await t.post(`${t.control}/gateway`);
    const { pusher, names } = await survives(t, port, { name: "restart", now: () => t.post(`${t.control}/gateway/${port}/restart`) });
    const heard = t.once(pusher.channel(names[0]), "back");
    await t.post(`${t.control}/gateway/${port}/publish`, { name: "back", channels: [names[0]], data: "1" });
    t.equal(await heard, 1, "heard");
  },
};
