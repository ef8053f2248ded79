// Clients of the package's browser build in two tabs of one window: of the one in front
// and of the one behind it. A client asks for its tab by how visible that is.
import { backend } from "../../conformance/clients/backend.mjs";
import { launch } from "../../conformance/clients/browser.mjs";
import { open, print, serve } from "./peers.mjs";

const world = JSON.parse(process.env.MATRIX);
world.backend = await backend(world);
world.tools = "/tools.mjs";
const { browser, stop } = await launch(world.dir);

async function tab() {
  const [context] = browser.contexts(); // in which tabs are hidden as a user's are
  const page = await context.newPage();
  await page.goto(world.backend);
  await page.addScriptTag({ url: "/pusher.js" });
  await page.exposeFunction("report", print);
  return page;
}

const hidden = await tab();
const visible = await tab();
await visible.bringToFront();
await serve((spec) => ({ visible, hidden })[spec.visibility].evaluate(open, { world, spec }));
await stop();
process.exit(0);
