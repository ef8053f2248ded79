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
   * What is known of the channels that are subscribed to, or were when the connection
   * broke. One that the app leaves and subscribes to again is another object, and
   * begins anew; undefined: whichever it will be. fresh: subscribed to for the first
   * time, on this connection.
   * @type {Map<string, { channel?: object, position: string, fresh?: boolean }>}
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
    for (const [name, known] of last) {
      if (known.channel && known.channel !== channelOf(name)) last.delete(name);
      known.fresh = false;
    }
    const since = Object.entries(current());
    do {
      pusher.send_event("diaphone:follow", { since: Object.fromEntries(since.splice(0, piece)) });
    } while (since.length > 0);
  };

  /** A subscription was answered.
   * @param {string} name */
  const joined = (name) => {
    const channel = channelOf(name);
    const known = last.get(name);
    if (!channel) {
      last.delete(name); // left while the answer was under way
    } else if (!known || (known.channel && known.channel !== channel)) {
      last.set(name, { channel, position: "", fresh: true });
    } else {
      known.channel = channel;
      if (!following) resumed({ channel: name, position: "", complete: false });
    }
  };

  /** Comes right behind that answer when the server tells positions. If complete, what
   * was missed follows, and moves the position.
   * @param {{ channel: string, position: string, complete: boolean }} told */
  const resumed = ({ channel, position, complete }) => {
    const known = last.get(channel);
    if (!known || known.channel !== channelOf(channel) || complete) return;
    const since = known.position;
    known.position = position;
    if (known.fresh) known.fresh = false;
    else tell({ channel, since, position });
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
      if (event === "pusher_internal:subscription_succeeded") joined(channel);
      return;
    }
    if (event === "diaphone:following") following = true;
    else if (event === "diaphone:position") next = data;
    else if (event === "diaphone:resumed") resumed(data);
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
      if (channel.subscribed) joined(channel.name);
    }
  }
  return {
    positions: current,
    stop: () => void pusher.connection.unbind_global(listen),
  };
};
