// Runs the checks by the packages' Node builds. Prints one line of JSON a point.
import Echo from "laravel-echo";
import PusherServer from "pusher";
import Pusher from "pusher-js";
import { backend } from "./backend.mjs";
import { run } from "./checks.mjs";
import server from "./server.mjs";

const world = JSON.parse(process.env.CONFORMANCE);
world.backend = await backend(world);
const report = (line) => console.log(JSON.stringify(line));

const serverOf = ({ key, secret }) => new PusherServer({ appId: "1", key, secret, encryptionMasterKeyBase64: world.masterKey });
await run({ ...world, client: "pusher", run: "s" }, report, server(serverOf));
await run({ ...world, Pusher, Echo: Echo.default ?? Echo, encryption: true, client: "Node", run: "n" }, report);
console.log("done");
process.exit(0);
