// All checks that run through a client, and how they run. A check's name is the
// points of plan_test.go that it proves.
import { Tools } from "./tools.mjs";
import connection from "./connection.mjs";
import channels from "./channels.mjs";
import presence from "./presence.mjs";
import events from "./events.mjs";
import users from "./users.mjs";
import webhooks from "./webhooks.mjs";
import fallback from "./fallback.mjs";
import encryption from "./encryption.mjs";
import reconnect from "./reconnect.mjs";
import echo, { encryptedEcho } from "./echo.mjs";

const together = 6; // most of them wait most of the time

const of = (world) => ({
  ...reconnect, ...fallback, ...webhooks, // the longest first
  ...connection, ...channels, ...presence, ...events, ...users, ...echo,
  ...(world.encryption && { ...encryption, ...encryptedEcho }),
});

// run runs checks, by default all that a client can do, and reports each point.
export async function run(world, report, checks = of(world)) {
  const queue = Object.entries(checks);
  const worker = async () => {
    for (let next; (next = queue.shift()); ) {
      const [points, check] = next;
      const tools = new Tools(world);
      let error = "";
      const began = Date.now();
      try {
        await check(tools);
      } catch (e) {
        error = String(e?.message ?? e) || "failed";
      } finally {
        tools.close();
      }
      for (const point of points.split(" ")) await report({ point, client: world.client, error, took: Date.now() - began });
    }
  };
  await Promise.all(Array.from({ length: together }, worker));
}
