// Runs the checks by the packages' browser builds in Chromium: a page with
// pusher.js, one with pusher-with-encryption.js, and one in the background.
// Prints one line of JSON a point.
import { backend } from "./backend.mjs";
import { launch } from "./browser.mjs";

const world = JSON.parse(process.env.CONFORMANCE);
world.backend = await backend(world);
const report = (line) => console.log(JSON.stringify(line));

const { browser, stop } = await launch(world.dir);

// open opens a page of the backend that has loaded a build of pusher-js.
async function open(context, build) {
  const page = await context.newPage();
  await page.goto(world.backend);
  await page.addScriptTag({ url: `/${build}.js` });
  await page.exposeFunction("report", report);
  return page;
}

async function all(build, of) {
  const context = await browser.newContext();
  const page = await open(context, build);
  await page.evaluate(async (one) => {
    const { run } = await import("/checks.mjs");
    const { default: Echo } = await import("/echo.js");
    await run({ ...one, Pusher: window.Pusher, Echo }, window.report);
  }, { ...world, ...of });
  await context.close();
}

// background: a page behind another one hears on, and keeps itself alive.
async function background() {
  const [context] = browser.contexts(); // in which tabs are hidden as a user's are
  const page = await open(context, "pusher");
  const front = await context.newPage();
  await front.goto(world.backend);
  await front.bringToFront();
  const error = await page.evaluate(async (one) => {
    const { Tools } = await import("/tools.mjs");
    const t = new Tools({ ...one, Pusher: window.Pusher });
    try {
      await t.until("the page is hidden", () => document.visibilityState === "hidden");
      const pusher = await t.connect({ activityTimeout: 1000 });
      const before = pusher.connection.socket_id;
      const [channel] = await t.subscribe(pusher, t.name("room"));
      for (let i = 0; i < 2; i++) {
        await t.once(pusher.connection, "message", ({ event }) => event === "pusher:pong");
        await t.settled(channel);
      }
      t.equal([document.visibilityState, pusher.connection.socket_id], ["hidden", before], "in the end");
      return "";
    } catch (e) {
      return String(e.message);
    }
  }, { ...world, run: "b" });
  report({ point: "background", client: "Chromium", error });
}

await Promise.all([
  all("pusher-with-encryption", { encryption: true, client: "Chromium", run: "e" }),
  all("pusher", { client: "Chromium, plain build", run: "p" }),
  background(),
]);
await stop();
console.log("done");
process.exit(0);
