// Package channels is the front door that speaks the Pusher Channels protocol,
// so that Pusher's official client and server SDKs connect unchanged: the signed
// HTTP API under /apps/ID, the WebSocket under /app/KEY, and for clients that get
// none through, the same over plain requests under /pusher/app/KEY (package fallback).
//
// It authenticates, decodes and encodes. What a publish means is the gateway's,
// who is in which channel is the hub's. Where the protocol leaves a choice, or
// we depart from it, docs/divergences.md says so.
package channels
