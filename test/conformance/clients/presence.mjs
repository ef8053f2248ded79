// Lines 8 and 9: presence.

const member = (id, info) => ({ user_id: id, user_info: info });

export default {
  "presence-users presence-query sdk-presence": async (t) => {
    const name = t.name("presence-");
    const [ana, bob, tab] = await Promise.all(["ana", "bob", "bob"].map((as) => t.connect({ as })));
    const [room, alone] = await t.subscribe(ana, name);
    t.equal([alone.count, alone.me, alone.members], [1, { id: "ana", info: { name: "ana" } }, { ana: { name: "ana" } }], "alone");

    const heard = t.record(room);
    const added = t.once(room, "pusher:member_added");
    const [bobs, both] = await t.subscribe(bob, name);
    const own = t.record(bobs);
    t.equal([both.count, both.me.id, Object.keys(both.members).sort()], [2, "bob", ["ana", "bob"]], "both");
    t.equal(await added, { id: "bob", info: { name: "bob" } }, "member_added");
    const [, again] = await t.subscribe(tab, name);
    t.equal([again.count, again.me.id], [2, "bob"], "the second tab");
    t.equal(await t.get(`/channels/${name}/users`), { users: [{ id: "ana" }, { id: "bob" }] }, "users");
    t.equal(await t.get(`/channels/${name}`, { info: "user_count,subscription_count" }),
      { occupied: true, user_count: 2, subscription_count: 3 }, "counts");
    const { channels } = await t.get("/channels", { filter_by_prefix: name, info: "user_count" });
    t.equal(channels, { [name]: { user_count: 2 } }, "the list");

    bob.unsubscribe(name);
    await t.vacated(name, 2);
    await t.settled(room);
    const removed = t.once(room, "pusher:member_removed");
    tab.disconnect();
    t.equal(await removed, { id: "bob", info: { name: "bob" } }, "member_removed");
    t.equal(heard.map(([event]) => event), ["pusher:member_added", "settled", "pusher:member_removed"], "told once per user");
    t.ok(!own.some(([event]) => event === "pusher:member_added"), "the joiner heard of itself");
    t.equal(ana.channel(name).members.count, 1, "count in the end");
  },

  "presence-numeric": async (t) => {
    const name = t.name("presence-");
    const ana = await t.connect({ as: member(7, { n: 1 }) });
    const [room, members] = await t.subscribe(ana, name);
    t.equal(members.members, { 7: { n: 1 } }, "members");
    t.equal(await t.get(`/channels/${name}/users`), { users: [{ id: "7" }] }, "users");
    const frames = t.record({ connection: ana.connection });
    const added = t.once(room, "pusher:member_added");
    await t.subscribe(await t.connect({ as: member(8) }), name);
    t.equal((await added).id, "8", "member_added");
    t.equal(frames.find((f) => f.event === "pusher_internal:member_added").data, { user_id: "8", user_info: {} }, "as it came");
  },

  "presence-info": async (t) => {
    for (const [info, wanted] of [[undefined, {}], [null, {}], ["Ada", "Ada"], [7, 7], [[], []], [{ "ü": 1 }, { "ü": 1 }]]) {
      const pusher = await t.connect({ as: member("ada", info) });
      const [, members] = await t.subscribe(pusher, t.name("presence-") + JSON.stringify(info)?.length);
      t.equal(members.me, { id: "ada", info: wanted }, `user_info ${JSON.stringify(info)}`);
    }
  },

  "presence-signed-in": async (t) => {
    const user = t.name("u");
    const pusher = await t.connect({ user });
    await t.signin(pusher);
    const [, members] = await t.subscribe(pusher, t.name("presence-"));
    t.equal(members.me, { id: user, info: { name: user.toUpperCase() } }, "me");
  },
};
