// Package channels is the front door that speaks the Pusher Channels protocol,
// so that Pusher's official client and server SDKs connect unchanged: the signed
// HTTP API under /apps/ID, and the WebSocket under /app/KEY.
//
// It authenticates, decodes and encodes. What a publish means is the gateway's,
// who is in which channel is the hub's. Where the protocol leaves a choice, or
// we depart from it, docs/divergences.md says so.
package channels
