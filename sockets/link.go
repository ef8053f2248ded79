package sockets

import (
	"crypto/tls"
	"net"
)

// link is a connection's way to its peer, which differs between pollers. Its
// methods are called with Conn.mu held and not after shut, so that a descriptor
// is never used once it may belong to a stranger.
type link interface {
	// attempt writes what is taken without waiting, maybe nothing.
	attempt(p []byte) (int, error)
	// flush is told once that a backlog waits, and sees to it until Conn.flushed.
	flush(c *Conn)
	// closeWrite ends our half of the stream.
	closeWrite()
	// shut begins the end: the reader hears of it and calls Conn.finish. stuck:
	// the peer does not read, what the kernel holds for it is to be given back.
	shut(c *Conn, stuck bool)
	// remote is the peer's address.
	remote() net.Addr
}

// poller waits for many connections at once. Where there is none, each
// connection has a goroutine.
type poller interface {
	// take gives a connection its link out of the socket, which is Go's no more,
	// and what starts the reading from it, to be called once; nil when it cannot.
	// session is what lies on top of the socket; nil: nothing.
	take(c *Conn, sock *net.TCPConn, session *tls.Conn) (read func(early []byte))
	// sweep sends guests of a porch away who have been waited for in vain.
	sweep(now int64)
	// stop ends the loops and waits for them. All connections have finished then.
	stop()
}
