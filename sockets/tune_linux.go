package sockets

import "golang.org/x/sys/unix"

// notSent bounds what the kernel keeps for a peer that does not read: with
// defaults 4 MB pile up before a write is refused, with this 114 KB (measured).
const notSent = 16 << 10

// tune sets the options of a connection, or of a listener from which all connections
// inherit them, unless it is false: MPTCP (RFC 8684) does not know all of them. A
// connection without works too.
func tune(fd int, c Config) bool {
	unanswered := int((c.PingAfter + missesAllowed*c.PongWait).Milliseconds())
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) == nil &&
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent) == nil &&
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unanswered) == nil
}
