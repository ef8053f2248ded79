package sockets

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// epollLink is one descriptor of a shard. Its fields are guarded by Conn.mu; gone
// and the reading of fd are the loop's own.
type epollLink struct {
	conn       *Conn
	shard      *shard
	fd         int
	generation uint32   // tells apart who has had the descriptor
	registered bool     // the loop sees it, and is then the one who closes it
	gone       bool     // closed; what the loop still hears is about nobody
	tls        *tlsSide // nil: plain
}

func (l *epollLink) born(generation uint32) { l.generation, l.registered = generation, true }
func (l *epollLink) age() uint32            { return l.generation }

// read has the loop serve the connection. Before, it handles what came together
// with the request, or what a callback has asked to be done apart: the loop does
// not see the connection then, so whoever calls may wait.
func (l *epollLink) read(early []byte) {
	c := l.conn
	if len(early) > 0 || c.apart != nil || l.tls != nil {
		s := c.engine.pool.Get().(*scratch)
		alive := c.follow(s, early) && (l.tls == nil || l.tls.open(s, c.follow))
		c.engine.pool.Put(s)
		if !alive {
			c.end()
		}
	}
	l.show()
}

// enter is read for a connection that comes from the loop itself, which must not wait.
func (l *epollLink) enter(early []byte) {
	c := l.conn
	c.mu.Lock()
	if c.state != dead {
		l.shard.inherit(l)
	}
	c.mu.Unlock()
	switch {
	case !l.registered:
		c.finish()
	case len(early) > 0:
		l.goOn(c.take(&l.shard.scratch, early))
	}
}

// show lets the loop see the connection. It is false when that has ended already.
func (l *epollLink) show() bool {
	c := l.conn
	c.mu.Lock()
	if c.state != dead && l.shard.register(l, l.fd) != nil {
		l.registered = false
		c.die(CodeAbnormal)
	}
	ended := !l.registered
	c.mu.Unlock()
	if ended {
		c.finish()
	}
	return !ended
}

// interest is what the loop wants to hear: that something can be read, and while
// there is a backlog that something can be written.
func (l *epollLink) interest() *unix.EpollEvent {
	e := &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.fd), Pad: int32(l.generation)}
	if l.waits() {
		e.Events |= unix.EPOLLOUT
	}
	return e
}

// waits tells whether something is to be written when the peer takes more.
func (l *epollLink) waits() bool {
	return l.conn.out.flushing || l.tls != nil && len(l.tls.rest) > 0
}

func (l *epollLink) attempt(p []byte) (int, error) {
	if l.tls != nil {
		return l.tls.attempt(p)
	}
	return l.write(p)
}

// write gives the descriptor what it takes without waiting.
func (l *epollLink) write(p []byte) (int, error) {
	for {
		n, err := unix.Write(l.fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

// flush has the loop call drain when the peer takes more.
func (l *epollLink) flush(*Conn) { l.rearm() }

// rearm tells the loop what is of interest now. Before the link is registered
// there is nothing to change: interest is asked then.
func (l *epollLink) rearm() {
	if l.registered {
		_ = unix.EpollCtl(l.shard.epoll, unix.EPOLL_CTL_MOD, l.fd, l.interest()) // fails for unknown descriptors only
	}
}

// mostPieces of a backlog go in one writev, far below the kernel's 1,024.
const mostPieces = 64

// drain writes of the backlog what the kernel takes. The loop calls it.
func (l *epollLink) drain() {
	c, o := l.conn, &l.conn.out
	if c.state == dead || !l.waits() {
		return
	}
	var n int
	var err error
	if l.tls != nil {
		n, err = l.tls.drain(l.shard.scratch.buffer[:], o.backlog)
	} else {
		n, err = l.writev(o.backlog[:min(len(o.backlog), mostPieces)])
	}
	if err != nil {
		c.die(CodeAbnormal)
		return
	}
	o.taken(n)
	if o.flushing && o.waiting == 0 {
		c.flushed()
	}
	if !l.waits() {
		l.rearm()
	}
}

func (l *epollLink) writev(pieces net.Buffers) (int, error) {
	n, err := unix.Writev(l.fd, pieces)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, err
}

func (l *epollLink) closeWrite() {
	if l.tls != nil {
		l.tls.closeWrite()
		return
	}
	_ = unix.Shutdown(l.fd, unix.SHUT_WR)
}

// shut wakes the loop, which closes the descriptor: a socket that is shut down
// both ways is readable for good. One that no loop sees is closed here.
func (l *epollLink) shut(_ *Conn, stuck bool) {
	if l.tls != nil {
		if stuck = stuck || len(l.tls.rest) > 0; !stuck {
			_ = l.tls.session.CloseWrite() // close_notify, if the peer takes it
		}
	}
	if stuck {
		_ = unix.SetsockoptLinger(l.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	if l.registered {
		_ = unix.Shutdown(l.fd, unix.SHUT_RDWR)
	} else {
		_ = unix.Close(l.fd)
	}
}

func (l *epollLink) remote() net.Addr {
	from, err := syscall.Getpeername(l.fd)
	if err != nil {
		return nil
	}
	return addrOf(from)
}

func addrOf(from syscall.Sockaddr) net.Addr {
	switch a := from.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return nil
}
