// Compiled, never run: how the types are used.
import Pusher from "pusher-js";
import Encrypted from "pusher-js/with-encryption";
import { resume, type Gap, type Resuming } from "diaphone-js";

const pusher = new Pusher("key", { cluster: "" });
const resuming: Resuming = resume(pusher, {
  positions: JSON.parse("{}") as Record<string, string>,
  onGap: ({ channel, since, position }: Gap) => [channel, since, position].map((text) => text.length),
});
const saved: Record<string, string> = resuming.positions();
resuming.stop();
resume(new Encrypted("key", { cluster: "" }), { onGap: () => {}, positions: saved });

// @ts-expect-error without it nobody would hear of a gap
resume(pusher, {});
// @ts-expect-error
resume({}, { onGap: () => {} });
// @ts-expect-error
resume(pusher, { onGap: (gap) => gap.chanel });
