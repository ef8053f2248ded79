package sockets

import (
	"net"
	"net/http"
	"time"
)

// PorchConfig says what a porch does itself.
type PorchConfig struct {
	// Handler is the one that net/http is given too.
	Handler http.Handler
	// Quick tells of a request that Handler answers it without waiting for anything
	// but locks: no disk, no other machine. WebSocket upgrades are quick.
	Quick func(*http.Request) bool
	// Patience is how long a client may take to send a request, and Idle how long it
	// may wait before its next.
	Patience, Idle time.Duration
}

// Porch meets the clients of a listener before net/http does. Plain requests that
// are quick are answered by the loops that serve the WebSockets, by the same handler:
// a goroutine, two buffers and a second registration with the kernel for each
// connection cost more than what is done for it. At the first request that is
// anything else, the client is shown in: the listener that is returned gives its
// connection to net/http, with every byte that has come, and the porch sees it no more.
//
// Where there is no poller to do that with, every client is shown in at once.
func (e *Engine) Porch(l net.Listener, c PorchConfig) net.Listener { return e.porch(l, c) }
