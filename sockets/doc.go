// Package sockets is the WebSocket engine under the hub: it upgrades, reads,
// writes without ever waiting, pings, and closes. It knows frames and bytes, no
// channels and no users; those live in packages hub and api/channels.
//
// Connections are state machines (inbox receives, outbox sends) that a poller
// feeds through a link. There are two, behind the same tests:
//
//   - epoll (Linux): as many loops as cores, each with one buffer; a silent
//     connection has no goroutine, no stack, no buffer and no timer. Under TLS it has
//     its session, which the loop feeds with what it reads.
//   - go (everywhere): a goroutine for each connection, which holds no buffer while
//     it waits, except under TLS.
//
// Writing is the same in both: whoever sends writes to the descriptor at once, and
// what the kernel does not take waits by reference to the shared frame. Where there
// is no direct way to the descriptor (go under TLS, or on Windows) all of it waits
// for a goroutine that writes.
//
// A descriptor is used under its connection's lock or by the loop that owns it,
// and is closed by that loop under the lock: a number that the kernel gives to
// another connection is never met under its old name.
package sockets
