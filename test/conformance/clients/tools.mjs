// What a check works with: unmodified clients, the backend's server SDK, and ways
// to wait. It runs in Node and in a page alike.
const patience = 25_000; // for a machine that is busy

let serial = 0;

export class Tools {
  // world: Pusher and Echo (the packages' own), client (its name in the table), run
  // (unique), backend and control (addresses), port (of the gateway), apps.
  constructor(world) {
    Object.assign(this, world);
    this.opened = [];
    this.own = `${this.run}-${++serial}`;
  }

  // name makes one that no other check uses.
  name(prefix) {
    return `${prefix}${this.own}`;
  }

  options({ app = "main", as, user, watchlist, port = this.port, auth = {}, userAuth = {}, ...others } = {}) {
    const member = as && (typeof as === "string" ? { user_id: as, user_info: { name: as } } : as);
    return {
      cluster: "any",
      wsHost: "127.0.0.1",
      wsPort: port,
      httpHost: "127.0.0.1",
      httpPort: port,
      forceTLS: false,
      enabledTransports: ["ws"],
      channelAuthorization: {
        endpoint: `${this.backend}/pusher/auth`,
        params: { app, ...(member && { as: JSON.stringify(member) }), ...auth },
      },
      userAuthentication: {
        endpoint: `${this.backend}/pusher/user-auth`,
        params: { app, ...(user && { user }), ...(watchlist && { watchlist: JSON.stringify(watchlist) }), ...userAuth },
      },
      ...others,
    };
  }

  // open makes a client that begins to connect; it is closed when the check ends.
  open(options = {}) {
    const key = options.key ?? this.apps[options.app ?? "main"].key;
    const pusher = new this.Pusher(key, this.options(options));
    this.opened.push(pusher);
    return pusher;
  }

  async connect(options) {
    const pusher = this.open(options);
    await this.connected(pusher);
    return pusher;
  }

  connected(pusher) {
    return this.until("connected", () => pusher.connection.state === "connected");
  }

  async subscribe(pusher, name) {
    const channel = pusher.subscribe(name);
    return [channel, await this.once(channel, "pusher:subscription_succeeded")];
  }

  async signin(pusher) {
    pusher.signin();
    await this.until("signed in, and in the user's channel", () => pusher.user.serverToUserChannel?.subscribed);
  }

  // close ends what the check has opened.
  close() {
    for (const one of this.opened) one.disconnect();
  }

  async post(url, body) {
    const response = await fetch(url, { method: "POST", body: JSON.stringify(body ?? {}) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  // server has the backend's SDK call the HTTP API.
  server(method, ...args) {
    return this.serverOf("main", method, ...args);
  }

  serverOf(app, method, ...args) {
    return this.post(`${this.backend}/call`, { app, method, args });
  }

  async get(path, params) {
    const { status, body, error } = await this.server("get", { path, params });
    this.equal(status, 200, error ?? path);
    return JSON.parse(body);
  }

  async trigger(...args) {
    const { status, body, error } = await this.server("trigger", ...args);
    this.equal([status, body], [200, "{}"], error ?? "trigger");
  }

  // relay gives the port of a relay to the gateway, whose connections end() closes:
  // with a code as the gateway would, or without one as a network does.
  async relay() {
    const { port } = await this.post(`${this.control}/relay`);
    return { port, end: (code = 0) => this.post(`${this.control}/relay/${port}/end/${code}`) };
  }

  within(what, start) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("in vain: " + what)), patience);
      const started = start((value) => {
        clearTimeout(timer);
        resolve(value);
      });
      Promise.resolve(started).catch(reject);
    });
  }

  // once waits for an event of a channel, a connection or a client.
  once(target, event, wanted = () => true) {
    return this.within(event, (done) => {
      const heard = (data, metadata) => {
        if (!wanted(data)) return;
        target.unbind(event, heard);
        done(metadata?.user_id ? [data, metadata] : data);
      };
      target.bind(event, heard);
    });
  }

  // until waits for a condition, which may be asked of a server.
  until(what, condition) {
    return this.within(what, async (done) => {
      while (!(await condition())) await new Promise((next) => setTimeout(next, 5));
      done();
    });
  }

  // told waits until a channel of the app told is told of by a webhook as vacated,
  // and gives all that was told of it. The SDK has checked and read the requests.
  told(channel) {
    const heard = [];
    let [from, last] = [0, 0];
    return this.until(`${channel} is told of as vacated`, async () => {
      const requests = await this.post(`${this.backend}/told`, { from });
      for (const request of requests) {
        if (!request.valid) throw new Error("the SDK refuses a webhook");
        for (const event of request.events.filter(({ seq }) => seq > last)) { // others are repeated
          if (event.seq !== ++last) throw new Error(`event ${event.seq} comes where ${last} should`);
          if (event.channel === channel) heard.push(event);
        }
      }
      from += requests.length;
      return heard.some(({ name }) => name === "channel_vacated");
    }).then(() => heard);
  }

  // vacated waits until so many, or no, connections are in the channel.
  vacated(name, left = 0) {
    return this.until(`${left} left in ${name}`, async () =>
      (await this.get(`/channels/${name}`, { info: "subscription_count" })).subscription_count === left);
  }

  // error waits for the next pusher:error.
  async error(pusher) {
    return (await this.once(pusher.connection, "error", (e) => e.type === "PusherError")).data;
  }

  // record keeps what a channel, or all that a connection, is sent.
  record(target) {
    const events = [];
    if (target.bind_global && !target.connection) target.bind_global((name, data) => events.push([name, data]));
    else target.connection.bind("message", (message) => events.push(message));
    return events;
  }

  // settled waits until everything sent to the channel before has arrived.
  async settled(channel) {
    const last = this.once(channel, "settled");
    await this.trigger(channel.name, "settled", {});
    await last;
  }

  equal(got, want, what) {
    const [a, b] = [got, want].map((v) => JSON.stringify(sorted(v)));
    if (a !== b) throw new Error(`${what}: ${a}, want ${b}`);
  }

  ok(condition, what) {
    if (!condition) throw new Error(what);
  }
}

// sorted puts the members of objects in order, so that their texts compare.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
