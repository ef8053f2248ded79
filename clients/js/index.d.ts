/** What is used of a pusher-js client: all of it public. */
export interface Client {
  connection: {
    state: string;
    bind_global(callback: (name: string, data: any) => void): unknown;
    unbind_global(callback: (name: string, data: any) => void): unknown;
  };
  channel(name: string): object | undefined;
  allChannels(): { name: string; subscribed: boolean }[];
  send_event(name: string, data: unknown): boolean;
}

/** Events of a channel may have been missed: get its state from your backend. */
export interface Gap {
  channel: string;
  /** Up to here nothing is missing. Empty when nothing is known. */
  since: string;
  /** From here on nothing is missing again. Empty when the channel has no history. */
  position: string;
}

export interface Options {
  /**
   * Called for each channel that could not be resumed, before any event that comes
   * after the gap. Not called for a channel that is subscribed to for the first time.
   */
  onGap: (gap: Gap) => void;
  /** What positions() gave earlier, to resume over the end of a page or a process. */
  positions?: Readonly<Record<string, string>>;
}

export interface Resuming {
  /** The position of each channel: that of the last event it was handed. */
  positions(): Record<string, string>;
  /** From the next connection on, pusher is as it was. */
  stop(): void;
}

/**
 * Makes a pusher-js client resume its channels whenever it reconnects. Call it right
 * after `new Pusher(…)`: a connection that has channels already is followed only from
 * its next reconnect on, and that one is a gap.
 */
export function resume(pusher: Client, options: Options): Resuming;
