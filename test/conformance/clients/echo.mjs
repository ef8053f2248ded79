// Laravel Echo over pusher-js, with both broadcasters that speak Pusher's protocol.

function echo(t, broadcaster, as, spoil) {
  const params = { app: "main", user: as, as: JSON.stringify({ user_id: as, user_info: { name: as } }), ...(spoil && { spoil }) };
  const one = new t.Echo({
    broadcaster,
    Pusher: t.Pusher,
    key: t.apps.main.key,
    wsHost: "127.0.0.1",
    wsPort: t.port,
    forceTLS: false,
    enabledTransports: ["ws"],
    ...(broadcaster === "pusher" && { cluster: "mt1" }),
    authEndpoint: `${t.backend}/broadcasting/auth`,
    auth: { params, headers: {} },
    userAuthentication: { endpoint: `${t.backend}/broadcasting/user-auth`, params },
    namespace: "App.Events",
  });
  t.opened.push(one);
  return one;
}

// both does something with each of the broadcasters.
const both = (what) => async (t) => {
  for (const broadcaster of ["pusher", "reverb"]) {
    await what(t, (as, spoil) => echo(t, broadcaster, as, spoil), (prefix) => t.name(prefix) + broadcaster);
  }
};

const subscribed = (t, channel) => t.within(`subscribed to ${channel.name}`, (done) => channel.subscribed(done));

// listens: an event of the backend, as Laravel names them, reaches the listener.
async function listens(t, channel) {
  await subscribed(t, channel);
  const heard = t.within("App\\Events\\Shipped", (done) => channel.listen("Shipped", done));
  await t.trigger(channel.name, "App\\Events\\Shipped", { order: 7 });
  t.equal(await heard, { order: 7 }, channel.name);
}

export default {
  "echo-public": both((t, make, name) => listens(t, make("ana").channel(name("orders")))),
  "echo-private": both((t, make, name) => listens(t, make("ana").private(name("orders")))),

  "echo-presence": both(async (t, make, name) => {
    const room = name("room");
    const [ana, bob] = [make("ana"), make("bob")];
    const heard = [];
    const hear = (what) => (who) => heard.push([what, who]);
    ana.join(room).here(hear("here")).joining(hear("joining")).leaving(hear("leaving"));
    await t.until("here", () => heard.length === 1);
    const here = t.within("here of bob", (done) => bob.join(room).here(done));
    t.equal((await here).map((who) => who.name).sort(), ["ana", "bob"], "bob's here");
    await t.until("joining", () => heard.length === 2);
    bob.leave(room);
    await t.until("leaving", () => heard.length === 3);
    t.equal(heard, [["here", [{ name: "ana" }]], ["joining", { name: "bob" }], ["leaving", { name: "bob" }]], "heard");
  }),

  "echo-whisper": both(async (t, make, name) => {
    for (const way of ["private", "join"]) {
      const [a, b] = [make("ana")[way](name("chat")), make("bob")[way](name("chat"))];
      await Promise.all([subscribed(t, a), subscribed(t, b)]);
      const heard = t.within("typing", (done) => b.listenForWhisper("typing", done));
      a.whisper("typing", { name: "ana" });
      t.equal(await heard, { name: "ana" }, way);
    }
  }),

  "echo-error": both(async (t, make, name) => {
    const refused = (as, spoil) => t.within(`error of ${spoil}`, (done) => make(as, spoil).private(name("orders")).error(done));
    t.equal((await refused("ana", "denied")).status, 403, "the backend says no");
    t.equal((await refused("ana", "signature")).status, 401, "the gateway says no");
  }),

  "echo-leave": both(async (t, make, name) => {
    const ana = make("ana");
    const channels = [ana.channel(name("x")), ana.private(name("x")), ana.join(name("x"))];
    await Promise.all(channels.map((channel) => subscribed(t, channel)));
    ana.leave(name("x"));
    for (const channel of channels) await t.vacated(channel.name);
  }),

  "echo-user": both(async (t, make, name) => {
    const user = name("u");
    const one = make(user);
    const pusher = one.connector.pusher;
    one.connector.signin();
    await t.until("signed in", () => pusher.user.serverToUserChannel?.subscribed);
    const heard = t.once(pusher.user, "hello");
    await t.server("sendToUser", user, "hello", { x: 1 });
    t.equal(await heard, { x: 1 }, "hello");
  }),
};

// With a client that carries the cipher.
export const encryptedEcho = {
  "echo-encrypted": both((t, make, name) => listens(t, make("ana").encryptedPrivate(name("orders")))),
};
