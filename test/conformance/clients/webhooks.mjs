// Lines 10 and 18: what the backend is told, as its SDK reads it.

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

  "cache-webhook": async (t) => {
    const [empty, full] = [t.name("cache-empty"), t.name("cache-full")];
    await t.serverOf("told", "trigger", full, "e", {});
    const pusher = await t.connect({ app: "told" });
    const answers = [t.once(pusher.subscribe(empty), "pusher:cache_miss"), t.once(pusher.subscribe(full), "e")];
    await Promise.all(answers);
    for (const name of [empty, full]) pusher.unsubscribe(name);
    const [ofEmpty, ofFull] = (await Promise.all([t.told(empty), t.told(full)]))
      .map((told) => told.map(plain).filter(({ name }) => name !== "subscription_count"));
    t.equal(ofEmpty, ["channel_occupied", "cache_miss", "channel_vacated"].map((name) => ({ name, channel: empty })), "of the empty one");
    t.equal(ofFull, ["channel_occupied", "channel_vacated"].map((name) => ({ name, channel: full })), "of the other");
  },
};
