// Clients of the package's Node build.
import Pusher from "pusher-js";
import { backend } from "../../conformance/clients/backend.mjs";
import { open, print, serve } from "./peers.mjs";

Object.assign(globalThis, { Pusher, report: print });
const world = JSON.parse(process.env.MATRIX);
world.backend = await backend(world);
world.tools = new URL("../../conformance/clients/tools.mjs", import.meta.url).href;
await serve((spec) => open({ world, spec }));
process.exit(0);
