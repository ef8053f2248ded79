//go:build unix

package sockets

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct gives access to the descriptor of a plain TCP or Unix socket. The
// runtime's poller made it non-blocking.
func direct(sock net.Conn) syscall.RawConn {
	s, ok := sock.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// attempt writes what the kernel takes without waiting, maybe nothing. c.mu is held.
func (l *goLink) attempt(p []byte) (int, error) {
	if l.raw == nil {
		return 0, nil
	}
	w := l.out.writers.Get().(*writer)
	defer l.out.writers.Put(w)
	w.p = p
	err := l.raw.Control(w.write)
	w.p = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(w.err, unix.EAGAIN):
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}

// writer carries one write to the descriptor and back. It is pooled with its
// bound method, for a closure would cost an allocation for each frame sent.
type writer struct {
	p     []byte
	n     int
	err   error
	write func(fd uintptr)
}

func newWriter() any {
	w := new(writer)
	w.write = func(fd uintptr) {
		for {
			w.n, w.err = unix.Write(int(fd), w.p)
			if !errors.Is(w.err, unix.EINTR) {
				return
			}
		}
	}
	return w
}

// readDirect reads until the end. RawConn.Read parks the goroutine whenever the
// function tells it that nothing was there.
func (l *goLink) readDirect(c *Conn) {
	var (
		s   *scratch
		n   int
		err error
	)
	get := func(fd uintptr) bool {
		s = c.engine.pool.Get().(*scratch)
		n, err = unix.Read(int(fd), s.buffer[:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			c.engine.pool.Put(s)
			s = nil
			return !errors.Is(err, unix.EAGAIN)
		}
		return true
	}
	for {
		if l.raw.Read(get) != nil {
			return
		}
		if s == nil {
			continue // interrupted
		}
		alive := n > 0 && err == nil && c.follow(s, s.buffer[:n])
		c.engine.pool.Put(s)
		s = nil
		if !alive {
			return
		}
	}
}
