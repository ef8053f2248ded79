package sockets

import "golang.org/x/sys/unix"

// notSent bounds what the kernel keeps for a peer that does not read: with
// defaults 4 MB pile up before a write is refused, with this 114 KB (measured).
const notSent = 16 << 10

// tune sets what Go does not. Refusals are ignored: not every socket is TCP, and
// a connection without these options works too.
func tune(fd int, c Config) {
	unanswered := int((c.PingAfter + missesAllowed*c.PongWait).Milliseconds())
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unanswered)
}
