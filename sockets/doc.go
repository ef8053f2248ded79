// Package sockets is the WebSocket engine under the hub: it upgrades, reads,
// writes without ever waiting, pings, and closes. It knows frames and bytes, no
// channels and no users; those live in packages hub and api/channels.
//
// Connections are state machines (inbox receives, outbox sends) that an engine
// feeds. The engine of today stands on Go's own poller, with one goroutine a
// connection that holds no buffer while it waits. Another engine replaces what
// is in poller*.go and passes the same tests.
package sockets
