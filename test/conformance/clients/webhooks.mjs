// Lines 10 and 18: what the backend is told, as its SDK reads it.

const kinds = (events) => events.map(({ name }) => name);

// plain takes off what is ours and differs from event to event.
const plain = ({ id, seq, ...event }) => event;

export default {
  "hook-fields": async (t) => {
    const [room, counted] = [t.name("presence-"), t.name("room")];
    const [ana, bob] = await Promise.all(["ana", "bob"].map((as) => t.connect({ app: "told", as })));
    const [there] = await t.subscribe(ana, room);
    const [here] = await t.subscribe(bob, room);
    const heard = t.once(there, "client-wave");
    here.trigger("client-wave", { "ü": [1] });
    await heard;
    const gone = t.once(there, "pusher:member_removed");
    bob.unsubscribe(room);
    await gone;
    ana.unsubscribe(room);
    const told = await t.told(room);
    t.equal(told.map(plain), [
      { name: "channel_occupied", channel: room },
      { name: "member_added", channel: room, user_id: "ana" },
      { name: "member_added", channel: room, user_id: "bob" },
      { name: "client_event", channel: room, user_id: "bob", event: "client-wave", data: '{"ü":[1]}', socket_id: bob.connection.socket_id },
      { name: "member_removed", channel: room, user_id: "bob" },
      { name: "member_removed", channel: room, user_id: "ana" },
      { name: "channel_vacated", channel: room },
    ], "told of the room");
    t.ok(told.every(({ id }) => /^ntc_[0-9a-z]{26}$/.test(id)), `ids of ${JSON.stringify(told)}`);
    t.equal(new Set(told.map(({ id }) => id)).size, told.length, "different ids");

    await t.subscribe(ana, counted);
    await t.subscribe(bob, counted);
    ana.unsubscribe(counted);
    bob.unsubscribe(counted);
    const counts = (await t.told(counted)).map(plain).filter(({ name }) => name === "subscription_count");
    t.ok(counts.length > 0, "no count is told");
    for (const one of counts) {
      t.ok(one.subscription_count > 0, JSON.stringify(one));
      t.equal(one, { name: "subscription_count", channel: counted, subscription_count: one.subscription_count }, "fields of a count");
    }
  },

  // Whoever comes when there is an event misses none.
  "cache-webhook": async (t) => {
    const name = t.name("cache-");
    const [first, second] = await Promise.all([t.connect({ app: "told" }), t.connect({ app: "told" })]);
    const missed = t.once(first.subscribe(name), "pusher:cache_miss");
    await missed;
    await t.serverOf("told", "trigger", name, "e", {});
    const found = t.once(second.subscribe(name), "e");
    await found;
    first.unsubscribe(name);
    second.unsubscribe(name);
    const told = (await t.told(name)).filter((event) => event.name !== "subscription_count");
    t.equal(kinds(told), ["channel_occupied", "cache_miss", "channel_vacated"], "told");
    t.equal(plain(told[1]), { name: "cache_miss", channel: name }, "fields");
  },
};
