// Debian's Chromium, driven by playwright-core. It is started here and not by
// Playwright, which would keep pages in the background from knowing that they are.
import { spawn } from "node:child_process";
import { chromium } from "playwright-core";

// launch gives a browser that keeps its data in a folder, and stop, which ends it
// and waits for that.
export async function launch(dir) {
  const child = spawn(process.env.CHROMIUM, [
    "--headless", "--no-sandbox", "--remote-debugging-port=0", `--user-data-dir=${dir}`,
    "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "about:blank",
  ], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((done) => child.once("exit", done));
  const endpoint = await new Promise((found, failed) => {
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
      const [, address] = said.match(/DevTools listening on (ws:\S+)/) ?? [];
      if (address) found(address);
    });
    child.once("error", failed);
    child.once("exit", () => failed(new Error(`Chromium ended: ${said}`)));
  });
  const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true });
  const stop = async () => {
    child.kill();
    await ended;
  };
  return { browser, stop };
}
