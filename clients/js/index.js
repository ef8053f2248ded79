// Resume for pusher-js; docs/history.md of Diaphone has the protocol.
//
// Everything hangs on one bind_global on the connection. It runs before pusher-js
// deals with a state or a message itself, and so
//  * "connected" is heard before pusher-js subscribes, in time to ask to follow;
//  * the position of an event is noted before any handler of it runs. A handler that
//    throws does not bring the event back.

/** Channels named in one diaphone:follow: with the longest names, below 32 KiB. */
const piece = 100;

/** @type {typeof import("./index.js").resume} */
export const resume = (pusher, { onGap, positions = {} }) => {
  if (typeof onGap !== "function") {
    throw new TypeError("diaphone: resume(pusher, { onGap }) needs a function to call when events may have been missed");
  }

  /**
   * What is known of the channels that are, or were when the connection broke,
   * subscribed to. A channel that the app leaves and subscribes to again is another
   * object, and begins anew; undefined: whichever it will be.
   * @type {Map<string, { channel?: object, position: string }>}
   */
  const last = new Map(Object.entries(positions).map(([name, position]) => [name, { position }]));
  /** Whether the server tells positions on this connection. */
  let following = false;
  /** The position of the event that comes next.
   * @type {{ channel: string, position: string } | null} */
  let next = null;

  // The channel of a signed-in user is pusher-js's own, and not in its list.
  const user = {};
  /** @param {string} name @returns {object | undefined} */
  const channelOf = (name) => (name.startsWith("#") ? user : pusher.channel(name));

  const follow = () => {
    following = false;
    next = null;
    for (const [name, { channel }] of last) {
      if (channel && channel !== channelOf(name)) last.delete(name);
    }
    const since = Object.entries(current());
    do {
      pusher.send_event("diaphone:follow", { since: Object.fromEntries(since.splice(0, piece)) });
    } while (since.length > 0);
  };

  /** @param {string} name @param {string} position @param {boolean} complete */
  const joined = (name, position, complete) => {
    const channel = channelOf(name);
    if (!channel) {
      last.delete(name); // left while the answer was under way
      return;
    }
    const before = last.get(name);
    const again = before && (!before.channel || before.channel === channel);
    if (again && complete) {
      before.channel = channel; // what was missed follows, and moves the position
      return;
    }
    last.set(name, { channel, position });
    if (again) tell({ channel: name, since: before.position, position });
  };

  /** @param {import("./index.js").Gap} gap */
  const tell = (gap) => {
    try {
      onGap(gap);
    } catch (error) {
      // It must not keep pusher-js from the message, nor go unnoticed.
      setTimeout(() => {
        throw error;
      });
    }
  };

  /** @param {{ event: string, channel?: string, data?: any }} message */
  const hear = ({ event, channel, data }) => {
    const known = next && last.get(next.channel);
    if (next && known && channel === next.channel) known.position = next.position;
    next = null;
    if (channel) {
      if (event === "pusher_internal:subscription_succeeded" && !following) joined(channel, "", false);
      return;
    }
    if (event === "diaphone:following") following = true;
    else if (event === "diaphone:position") next = data;
    else if (event === "diaphone:resumed") joined(data.channel, data.position, data.complete);
  };

  /** @param {string} name @param {any} data */
  const listen = (name, data) => {
    if (name === "message") hear(data);
    else if (name === "state_change" && data.current === "connected") follow();
  };

  const current = () =>
    Object.fromEntries([...last].flatMap(([name, { position }]) => (position ? [[name, position]] : [])));

  pusher.connection.bind_global(listen);
  if (pusher.connection.state === "connected") {
    const channels = pusher.allChannels();
    if (channels.length === 0) follow();
    for (const channel of channels) {
      if (channel.subscribed) joined(channel.name, "", false);
    }
  }
  return {
    positions: current,
    stop: () => void pusher.connection.unbind_global(listen),
  };
};
