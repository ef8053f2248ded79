// Clients as the test wants them. It asks for each in a line of JSON on standard
// input; what becomes of them is printed, a line of JSON each.
import { createInterface } from "node:readline";

// open makes a client of unmodified pusher-js. It runs in Node and in a page alike, so
// it finds all it needs in its argument and in the globals Pusher and report.
export async function open({ world, spec }) {
  const visibility = () => globalThis.document?.visibilityState ?? "";
  const report = (line) => globalThis.report({ id: spec.id, visibility: visibility(), ...line });
  try {
    const { Tools } = await import(world.tools);
    const t = new Tools({ ...world, Pusher: globalThis.Pusher });
    if (spec.visibility) await t.until(`the page is ${spec.visibility}`, () => visibility() === spec.visibility);
    const pusher = await t.connect({
      as: spec.member, user: spec.user, port: spec.port,
      httpHost: "127.0.0.1", httpPort: spec.port, enabledTransports: [spec.transport],
    });
    pusher.bind_global((event) => event === spec.event && report({ heard: true }));
    if (spec.user) await t.signin(pusher);
    const channel = spec.channel ? (await t.subscribe(pusher, spec.channel))[0] : pusher.user;
    if (spec.receipts) {
      channel.bind("diaphone:receipt_wanted", ({ message_id }) => pusher.send_event("diaphone:receipt", { message_id }));
    }
    await report({ transport: pusher.connection.connection.transport.name });
  } catch (e) {
    await report({ error: String(e?.message ?? e) });
  }
}

// serve opens clients, until standard input ends.
export async function serve(open) {
  for await (const line of createInterface({ input: process.stdin })) open(JSON.parse(line));
}

export const print = (line) => console.log(JSON.stringify(line));
