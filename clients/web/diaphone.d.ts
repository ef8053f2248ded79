/** A device as PUT /v1/devices/{device_id} of the gateway takes it. */
export interface Device {
  platform: 'web';
  tokens: [{ kind: 'webpush'; subscription: PushSubscriptionJSON }];
  locale: string;
  time_zone: string;
}

export interface SubscribeOptions {
  /** The public VAPID key, as `diaphone keys vapid` prints it. */
  vapidKey: string;
  /** Gives the device to your backend, which knows the user and the gateway's token. */
  register: (deviceId: string, device: Device) => Promise<unknown>;
  /** Where the service worker is served; by default /service-worker.js. */
  serviceWorker?: string | URL;
}

/** What a notification carries; see Declarative Web Push. */
export interface Notification {
  title?: string;
  body?: string;
  navigate?: string;
  tag?: string;
  image?: string;
  app_badge?: number;
  actions?: { action: string; title: string; navigate?: string }[];
  data: Record<string, unknown> & { _mid: string; _nid: string };
  [option: string]: unknown;
}

export function supported(): boolean;
export function deviceId(): string;
export function subscribe(options: SubscribeOptions): Promise<PushSubscription>;
export function unsubscribe(): Promise<boolean>;
/** Has the service worker report what becomes of messages; without arguments it stops. */
export function reportWith(how?: { gateway: string; secret: string }): Promise<unknown>;
export function onMessage(callback: (notification: Notification) => void): () => void;
