// Line 12: users.

const signedIn = (t, pusher) => t.once(pusher, "pusher:signin_success");

async function badSignIn(t, pusher, data, wanted) {
  const told = t.error(pusher);
  pusher.send_event("pusher:signin", data);
  const { code, message } = await told;
  t.equal(code, null, "code");
  t.ok(message.includes(wanted), message);
  t.equal(pusher.connection.state, "connected", "state");
}

export default {
  "signin sdk-signin to-user": async (t) => {
    const user = t.name("u");
    const [one, two, stranger] = await Promise.all([t.connect({ user }), t.connect({ user }), t.connect({ user: t.name("other") })]);
    const success = signedIn(t, one);
    await Promise.all([one, two, stranger].map((c) => t.signin(c)));
    t.equal(JSON.parse((await success).user_data), { id: user, user_info: { name: user.toUpperCase() } }, "user_data");
    const [heard, never] = [[], []];
    one.user.bind("hello", (data) => heard.push(data));
    two.user.bind("hello", (data) => heard.push(data));
    stranger.user.bind_global((event) => never.push(event));
    const { status, body } = await t.server("sendToUser", user, "hello", { x: 1 });
    t.equal([status, body], [200, "{}"], "sendToUser");
    await t.until("both hear it", () => heard.length === 2);
    const last = t.once(stranger.user, "last");
    await t.server("sendToUser", t.name("other"), "last", {});
    await last;
    t.equal(never.filter((event) => !event.startsWith("pusher:")), ["last"], "the stranger heard");
  },

  "signin-bad": async (t) => {
    const pusher = await t.connect({ user: t.name("u"), userAuth: { spoil: "signature" } });
    const told = t.error(pusher);
    pusher.signin();
    const { code, message } = await told;
    t.equal(code, null, "code");
    t.ok(message.startsWith("Invalid signature"), message);
    t.equal(pusher.connection.state, "connected", "state");
    await badSignIn(t, pusher, {}, "Invalid user_data");
    await badSignIn(t, pusher, { auth: "nobody:0", user_data: '{"id":"1"}' }, "Invalid key");
    const denied = await t.connect({ user: t.name("u"), userAuth: { spoil: "denied" } });
    const failed = t.once(denied.user, "pusher:signin_error");
    denied.signin();
    t.equal((await failed).status, 403, "signin_error");
  },

  "signin-other": async (t) => {
    const [user, other] = [t.name("u"), t.name("v")];
    const pusher = await t.connect({ user });
    await t.signin(pusher);
    const signed = await t.post(`${t.backend}/sign`, { app: "main", socket_id: pusher.connection.socket_id, user: other });
    await badSignIn(t, pusher, signed, "signed in as another user");
  },

  "to-user-own": async (t) => {
    const [user, other] = [t.name("u"), t.name("v")];
    const pusher = await t.connect({ user });
    const ask = async (name) => {
      const told = t.error(pusher);
      pusher.send_event("pusher:subscribe", { channel: name, auth: "" });
      return (await told).message;
    };
    t.ok((await ask(`#server-to-user-${user}`)).startsWith("Not signed in"), "before the sign-in");
    await t.signin(pusher);
    t.ok((await ask(`#server-to-user-${other}`)).startsWith("Not signed in"), "of another user");
    t.ok((await ask(`#server-to-user-${user}`)).startsWith("Existing subscription"), "its own");
  },

  "watchlist sdk-watchlist": async (t) => {
    const [zoe, max] = [t.name("zoe"), t.name("max")];
    const eve = await t.connect({ user: t.name("eve"), watchlist: [zoe, max] });
    const first = await t.connect({ user: zoe });
    await t.signin(first);
    const heard = [];
    for (const name of ["online", "offline"]) eve.user.watchlist.bind(name, (e) => heard.push([name, ...e.user_ids]));
    eve.signin();
    await t.until("the first state", () => heard.length === 2);
    first.disconnect();
    await t.until("zoe offline", () => heard.length === 3);
    await t.signin(await t.connect({ user: max }));
    await t.until("max online", () => heard.length === 4);
    t.equal(heard, [["online", zoe], ["offline", max], ["offline", zoe], ["online", max]], "heard");
  },

  "watchlist-101": async (t) => {
    const watchlist = Array.from({ length: 101 }, (_, i) => `watched-${i}`);
    const pusher = await t.connect({ user: t.name("u"), watchlist });
    const [success, told] = [signedIn(t, pusher), t.error(pusher)];
    pusher.signin();
    await success;
    const { code, message } = await told;
    t.equal(code, 4302, "code");
    t.ok(message.includes(" watched-99") && !message.includes("watched-100"), message);
    t.equal(pusher.connection.state, "connected", "state");
  },

  // In a presence channel under the same name, but not signed in: stays.
  "terminate sdk-terminate": async (t) => {
    const user = t.name("u");
    const [gone, stays] = await Promise.all([t.connect({ user }), t.connect({ as: user })]);
    await t.signin(gone);
    const [room] = await t.subscribe(stays, t.name("presence-"));
    const [told, stopped] = [t.once(gone.connection, "error"), t.once(gone.connection, "disconnected")];
    const { status, body } = await t.server("terminateUserConnections", user);
    t.equal([status, body], [200, "{}"], "terminate");
    t.equal((await told).data.code, 4009, "code");
    await stopped;
    await t.settled(room);
    t.equal([gone.connection.state, stays.connection.state], ["disconnected", "connected"], "states");
  },

  "authorise-within": async (t) => {
    const options = { app: "strict", as: t.name("u"), user: t.name("u") };
    const [member, user] = [t.open(options), t.open(options)];
    await Promise.all([t.subscribe(member, t.name("private-")), t.signin(user)]);
    const idle = t.open(options); // connects last, so its time ends last
    await t.once(idle.connection, "disconnected");
    // Those whom the backend vouches for live on: they hear what comes now.
    const heard = t.once(user.user, "hello");
    await t.serverOf("strict", "sendToUser", t.name("u"), "hello", {});
    await heard;
    t.equal([idle, member, user].map((c) => c.connection.state), ["disconnected", "connected", "connected"], "states");
  },
};
