package sockets

import "golang.org/x/sys/unix"

// notSent bounds what the kernel keeps for a peer that does not read: with
// defaults 4 MB pile up before a write is refused, with this 114 KB (measured).
const notSent = 16 << 10

// tune sets what Go does not. Refusals are ignored: not every socket is TCP, and
// a connection without these options works too.
func (c *Conn) tune() {
	if c.raw == nil {
		return
	}
	unanswered := int((c.engine.config.PingAfter + missesAllowed*c.engine.config.PongWait).Milliseconds())
	_ = c.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unanswered)
	})
}
