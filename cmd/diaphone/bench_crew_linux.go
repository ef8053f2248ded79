package main

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// crew reads for all listeners with one goroutine and one buffer: a goroutine for
// each connection would make the generator, not the gateway, the one to measure.
// Under TLS it is so.
type crew struct {
	load    *load
	epoll   int
	wake    int // an eventfd: ends the loop
	mu      sync.Mutex
	members []*benchListener // by descriptor
	done    chan struct{}
	others  readers // of what is not plain TCP
}

const (
	crewBuffer = 256 << 10
	crewBatch  = 256 // events taken at once
)

func newCrew(l *load) (*crew, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)})
	}
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	c := &crew{load: l, epoll: epoll, wake: wake, done: make(chan struct{}), others: readers{load: l}}
	go c.read()
	return c, nil
}

// add takes a listener's descriptor over from Go's poller.
func (c *crew) add(b *benchListener) error {
	plain, ok := b.conn.(syscall.Conn)
	if !ok {
		return c.others.add(b)
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var fault error
	err = raw.Control(func(from uintptr) { fd, fault = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, fault); err != nil {
		return fmt.Errorf("take a descriptor over: %w", err)
	}
	_ = b.conn.Close()
	b.conn = nil
	b.reply = func(p []byte) error {
		if _, err := unix.Write(fd, p); err != nil && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.members) <= fd {
		c.members = append(c.members, nil)
	}
	c.members[fd] = b
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (c *crew) read() {
	defer close(c.done)
	buffer := make([]byte, crewBuffer)
	events := make([]unix.EpollEvent, crewBatch)
	for {
		n, err := unix.EpollWait(c.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			c.load.fail(fmt.Errorf("epoll: %w", err))
			return
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == c.wake {
				return
			}
			c.serve(int(e.Fd), buffer)
		}
	}
}

func (c *crew) serve(fd int, buffer []byte) {
	c.mu.Lock()
	b := c.members[fd]
	c.mu.Unlock()
	n, err := unix.Read(fd, buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err == nil && n == 0:
		err = errBenchClosed
	case err == nil:
		err = b.feed(buffer[:n], c.load.now())
	}
	if err != nil {
		c.load.fail(err)
		_ = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
}

// close ends the loop and all connections.
func (c *crew) close() {
	_, _ = unix.Write(c.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-c.done
	for fd, b := range c.members {
		if b != nil {
			_ = unix.Close(fd)
		}
	}
	_, _ = unix.Close(c.epoll), unix.Close(c.wake)
	c.others.close()
}
