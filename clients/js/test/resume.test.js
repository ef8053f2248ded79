import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { resume } from "../index.js";
import {
  backend, broken, connect, connectResuming, connected, count, disconnectAll, listen, numbers, steer, until, vacant,
} from "./stage.js";

afterEach(disconnectAll);

/** One of each kind of channel, on which an event is an event. */
const kinds = (name) => [`h-${name}`, `private-h-${name}`, `presence-h-${name}`, `private-cache-h-${name}`];

/** Listens to all of the channels; gives what each heard. */
const listenAll = async (pusher, channels) =>
  Object.fromEntries(await Promise.all(channels.map(async (name) => [name, await listen(pusher, name)])));

const heardExactly = async (heard, want) => {
  for (const [name, list] of Object.entries(heard)) {
    await until(`${want.at(-1)} on ${name}, which heard ${list}`, () => list.at(-1) === want.at(-1));
    assert.deepEqual(list, want, name);
  }
};

for (const how of ["cut", "close/4200"]) {
  test(`after ${how} what was missed comes once and in order`, async () => {
    const { pusher, gaps } = connectResuming();
    const channels = kinds(how.replace("/", "-"));
    const heard = await listenAll(pusher, channels);
    await broken(pusher, how, () => count(channels, 1, 3)); // before any event was heard
    await heardExactly(heard, numbers(1, 3));
    await count(channels, 4, 5);
    await heardExactly(heard, numbers(1, 5));
    await broken(pusher, how, () => count(channels, 6, 8));
    await count(channels, 9, 9);
    await heardExactly(heard, numbers(1, 9));
    await broken(pusher, how); // nothing was missed
    await count(channels, 10, 10);
    await heardExactly(heard, numbers(1, 10));
    assert.deepEqual(gaps, []);
  });
}

for (const [when, event] of [
  ["now", "diaphone:position"],
  ["now", "n"], // its position has come
  ["next", "pusher_internal:subscription_succeeded"],
  ["next", "diaphone:resumed"],
]) {
  test(`a cut right before ${event}`, async () => {
    const { pusher, gaps } = connectResuming();
    const name = "h-before-" + event.replace(":", "-");
    const heard = await listen(pusher, name);
    await count([name], 1, 1);
    await heardExactly({ heard }, [1]);
    await steer(`${when}/${event}`);
    if (when === "next") await steer("cut");
    await count([name], 2, 3);
    await heardExactly({ heard }, [1, 2, 3]);
    await count([name], 4, 4);
    await heardExactly({ heard }, [1, 2, 3, 4]);
    assert.deepEqual(gaps, []);
  });
}

test("a first subscription that is cut behind its answer has a gap", async () => {
  const { pusher, gaps } = connectResuming();
  await connected(pusher);
  let heard;
  await broken(pusher, "now/diaphone:resumed", async () => {
    heard = await listen(pusher, "h-first");
    await count(["h-first"], 1, 1);
  });
  await until("the gap", () => gaps.length === 1);
  await count(["h-first"], 2, 2);
  await heardExactly({ heard }, [2]);
  assert.deepEqual([gaps[0].channel, gaps[0].since, gaps.length], ["h-first", "", 1]);
});

test("an encrypted channel is resumed, and nothing on it is taken for a broken event", async (t) => {
  const complaints = t.mock.method(console, "error", () => {});
  const { pusher, gaps } = connectResuming();
  const name = "private-encrypted-h-1";
  const heard = await listen(pusher, name);
  const publish = (n) => backend.trigger(name, "n", n);
  await publish(1);
  await until("1", () => heard.length === 1);
  await broken(pusher, "cut", () => publish(2));
  await publish(3);
  await heardExactly({ [name]: heard }, [1, 2, 3]);
  assert.deepEqual(gaps, []);
  assert.equal(complaints.mock.callCount(), 0, complaints.mock.calls[0]?.arguments.join());
});

test("the channel of a signed-in user is resumed", async () => {
  const { pusher, gaps } = connectResuming("zoe");
  const heard = [];
  pusher.user.bind("n", (n) => heard.push(n));
  pusher.signin();
  const publish = (n) => backend.sendToUser("zoe", "n", String(n));
  await until("the user's channel", () => pusher.user.serverToUserChannel?.subscribed);
  await publish(1);
  await until("1", () => heard.length === 1);
  await broken(pusher, "cut", () => publish(2));
  await heardExactly({ user: heard }, [1, 2]);
  assert.deepEqual(gaps, []);
});

test("client events move nothing", async () => {
  const { pusher, gaps } = connectResuming("ana");
  const name = "presence-h-whisper";
  const heard = await listen(pusher, name);
  const whispers = [];
  pusher.channel(name).bind("client-x", (x) => whispers.push(x));
  await count([name], 1, 1);
  const bob = connect("bob");
  await listen(bob, name);
  for (const x of [1, 2]) bob.channel(name).trigger("client-x", x);
  await until("whispers", () => whispers.length === 2);
  await broken(pusher, "cut", () => count([name], 2, 2));
  await heardExactly({ [name]: heard }, [1, 2]);
  assert.deepEqual(whispers, [1, 2]);
  assert.deepEqual(gaps, []);
});

// Every line is cut at a byte that nobody chose, again and again, while events come.
// Gives for each client and channel what it heard.
const underFire = async (clients, name, rounds) => {
  const channels = kinds(name);
  const heard = [];
  for (const pusher of clients) heard.push(await listenAll(pusher, channels));
  let last = 0;
  let firing = true;
  const fire = (async () => {
    while (firing) await Promise.all([count(channels, ++last, last), pause(25)]); // what is missed must be kept
  })();
  for (let round = 1; round <= rounds; round++) {
    const sockets = clients.map((pusher) => pusher.connection.socket_id);
    await steer("cut/3000"); // after so many bytes at most
    await until("all are back", () =>
      clients.every((pusher, i) => pusher.connection.state === "connected" && pusher.connection.socket_id !== sockets[i]));
    if (round % 2) continue; // the next cut comes while they catch up
    const now = last;
    const upToDate = (each) => Object.values(each).every((list) => list.at(-1) >= now);
    await until(`all hear ${now}`, () => heard.every(upToDate));
  }
  firing = false;
  await fire;
  await count(channels, ++last, last);
  for (const each of heard) {
    for (const [channel, list] of Object.entries(each)) await until("the end of " + channel, () => list.at(-1) === last);
  }
  return { lists: heard.flatMap((each) => Object.values(each)), want: numbers(1, last) };
};

test("under fire nobody misses an event or hears one twice", async (t) => {
  const clients = Array.from({ length: 8 }, (_, i) => connectResuming("u" + i));
  const { lists, want } = await underFire(clients.map(({ pusher }) => pusher), "fire", 4);
  assert.deepEqual(clients.flatMap(({ gaps }) => gaps), []);
  for (const list of lists) assert.deepEqual(list, want);
  t.diagnostic(`${lists.length} subscriptions heard 1 to ${want.length}, each once and in order, over 4 cuts`);
});

test("negative control: stock clients miss events under the same fire", async (t) => {
  const clients = Array.from({ length: 2 }, (_, i) => connect("u" + i));
  const { lists, want } = await underFire(clients, "control", 2);
  const missing = lists.map((list) => want.length - list.length);
  t.diagnostic(`of ${want.length} events, missing: ${missing}`);
  for (const n of missing) assert.ok(n > 0);
});

test("more was missed than is kept: a gap, and life goes on behind it", async () => {
  const { pusher, gaps, resuming } = connectResuming();
  const name = "short-1"; // keeps three
  const heard = await listen(pusher, name);
  await count([name], 1, 1);
  await until("1", () => heard.length === 1);
  const since = resuming.positions()[name];
  await broken(pusher, "cut", () => count([name], 2, 5));
  await until("the gap", () => gaps.length === 1);
  assert.deepEqual(gaps, [{ channel: name, since, position: resuming.positions()[name] }]);
  await count([name], 6, 6);
  await heardExactly({ [name]: heard }, [1, 6]);
  await broken(pusher, "cut", () => count([name], 7, 7));
  await heardExactly({ [name]: heard }, [1, 6, 7]);
  assert.equal(gaps.length, 1);
});

test("a channel without history has a gap at each reconnect", async () => {
  const { pusher, gaps } = connectResuming();
  const heard = await listen(pusher, "plain");
  for (const n of [1, 2]) {
    await broken(pusher, "cut");
    await until("the gap", () => gaps.length === n);
    assert.deepEqual(gaps[n - 1], { channel: "plain", since: "", position: "" });
  }
  await count(["plain"], 1, 1);
  await heardExactly({ plain: heard }, [1]);
});

test("who is late is told of the first gap, and resumes from there", async () => {
  const pusher = connect();
  const heard = await listen(pusher, "h-late");
  const gaps = [];
  resume(pusher, { onGap: ({ channel }) => gaps.push(channel) });
  const second = await listen(pusher, "h-later"); // subscribed to on a connection that is not followed
  assert.deepEqual(gaps, []);
  await broken(pusher, "cut");
  await until("both gaps", () => gaps.length === 2);
  assert.deepEqual(gaps.sort(), ["h-late", "h-later"]);
  await broken(pusher, "cut", () => count(["h-late", "h-later"], 1, 2));
  await heardExactly({ late: heard, later: second }, [1, 2]);
  assert.equal(gaps.length, 2);
});

test("who is connected and has no channel yet is not late", async () => {
  const pusher = connect();
  await connected(pusher);
  const gaps = [];
  resume(pusher, { onGap: ({ channel }) => gaps.push(channel) });
  const heard = await listen(pusher, "h-soon");
  await broken(pusher, "cut", () => count(["h-soon"], 1, 2));
  await heardExactly({ soon: heard }, [1, 2]);
  assert.deepEqual(gaps, []);
});

test("a channel that was left and is subscribed to again begins anew", async () => {
  const { pusher, gaps } = connectResuming();
  const first = await listen(pusher, "h-left");
  await listen(pusher, "h-left-too");
  await count(["h-left"], 1, 1);
  await until("1", () => first.length === 1);
  pusher.unsubscribe("h-left");
  await vacant("h-left");
  await count(["h-left"], 2, 2);
  const again = await listen(pusher, "h-left"); // on the same connection
  await count(["h-left"], 3, 3);
  await heardExactly({ again }, [3]);
  pusher.unsubscribe("h-left");
  pusher.unsubscribe("h-left-too");
  const anew = [];
  await broken(pusher, "cut", async () => {
    await count(["h-left", "h-left-too"], 4, 4);
    pusher.subscribe("h-left").bind("n", (n) => anew.push(n)); // while there is no connection
  });
  await until("subscribed", () => pusher.channel("h-left").subscribed);
  await count(["h-left"], 5, 5);
  await heardExactly({ anew }, [5]);
  assert.deepEqual(gaps, []);
  assert.deepEqual([first, again], [[1], [3]]);
});

test("positions outlive the page", async () => {
  const before = connectResuming();
  const channels = kinds("saved");
  await heardExactly(await listenAll(before.pusher, channels).then(async (heard) => (await count(channels, 1, 2), heard)), [1, 2]);
  const saved = JSON.parse(JSON.stringify(before.resuming.positions()));
  before.pusher.disconnect();
  await count(channels, 3, 4);
  const { pusher, gaps } = connectResuming("ana", { ...saved, "h-unknown": "0123456789abcdef:1" });
  await heardExactly(await listenAll(pusher, channels), [3, 4]);
  await listen(pusher, "h-unknown");
  await until("the gap", () => gaps.length > 0);
  assert.deepEqual(gaps.map(({ channel, since }) => [channel, since]), [["h-unknown", "0123456789abcdef:1"]]);
});

test("many channels are asked for in pieces", async () => {
  const long = "h-".padEnd(155, "x");
  const positions = Object.fromEntries(numbers(1, 900).map((n) => [long + n, "0123456789abcdef:1"]));
  const { pusher, gaps, resuming } = connectResuming("ana", positions);
  const errors = [];
  pusher.connection.bind("error", ({ data }) => data?.message && errors.push(data.message));
  const heard = await listen(pusher, "h-many");
  await broken(pusher, "cut", () => count(["h-many"], 1, 1));
  await heardExactly({ heard }, [1]);
  assert.deepEqual([gaps, errors], [[], []]);
  assert.equal(Object.keys(resuming.positions()).length, 901);
});

test("an onGap that throws stops nothing but itself", async (t) => {
  const pusher = connect();
  const thrown = [];
  const other = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => thrown.push(error.message));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of other) process.on("uncaughtException", listener);
  });
  resume(pusher, {
    onGap: ({ channel }) => {
      throw new Error("gap on " + channel);
    },
  });
  const heard = await listen(pusher, "plain-throw");
  await broken(pusher, "cut");
  await until("subscribed again", () => pusher.channel("plain-throw").subscribed);
  await count(["plain-throw"], 1, 1);
  await heardExactly({ heard }, [1]);
  await until("the error", () => thrown.length > 0);
  assert.deepEqual(thrown, ["gap on plain-throw"]);
});

test("after stop the client is a stock one", async () => {
  const { pusher, gaps, resuming } = connectResuming();
  const heard = await listen(pusher, "h-stop");
  resuming.stop();
  await broken(pusher, "cut", () => count(["h-stop"], 1, 1));
  await until("subscribed again", () => pusher.channel("h-stop").subscribed);
  await count(["h-stop"], 2, 2);
  await heardExactly({ heard }, [2]);
  assert.deepEqual(gaps, []);
});

test("without onGap there is no resume", () => {
  assert.throws(() => resume(connect()), TypeError);
  assert.throws(() => resume(connect(), { onGap: "log" }), /onGap/);
});

for (const how of ["kill", "drain"]) {
  test(`after a ${how} and a restart each channel is told of its gap, once`, async () => {
    const { pusher, gaps, resuming } = connectResuming();
    const channels = kinds(how);
    const heard = await listenAll(pusher, channels);
    await count(channels, 1, 2);
    await heardExactly(heard, [1, 2]);
    const before = resuming.positions();
    await broken(pusher, how);
    await until("all gaps", () => gaps.length === channels.length);
    for (const { channel, since, position } of gaps) {
      assert.equal(since, before[channel]);
      assert.notEqual(position.split(":")[0], since.split(":")[0], "another epoch");
    }
    await count(channels, 3, 3);
    await heardExactly(heard, [1, 2, 3]);
    await broken(pusher, "cut", () => count(channels, 4, 5));
    await heardExactly(heard, numbers(1, 5));
    assert.deepEqual(gaps.map(({ channel }) => channel).sort(), [...channels].sort());
  });
}
