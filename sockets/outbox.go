package sockets

import (
	"net"
	"slices"
)

// outbox holds what the kernel has not taken yet, by reference to the shared
// frames. It is guarded by Conn.mu.
type outbox struct {
	backlog  net.Buffers
	waiting  int  // bytes in the backlog and in the hands of who flushes it
	flushing bool // the link sees to the backlog
	last     bool // nothing follows: end our half of the stream when empty
}

func (o *outbox) empty() bool { return o.waiting == 0 && !o.flushing }

// push hands the frame to the kernel, or to the backlog. c.mu is held.
func (c *Conn) push(f *Frame) error {
	rest := f.wire
	o := &c.out
	if o.empty() {
		n, err := c.link.attempt(rest)
		if err != nil {
			return err
		}
		if rest = rest[n:]; len(rest) == 0 {
			return nil
		}
	} else if c.state == open && o.waiting+len(rest) > c.engine.config.Backlog {
		return ErrSlow
	}
	o.backlog = append(o.backlog, rest)
	o.waiting += len(rest)
	if !o.flushing {
		o.flushing = true
		c.link.flush(c)
	}
	return nil
}

// hold makes p the first that is written, and everything wait for release.
func (o *outbox) hold(p []byte) {
	o.flushing = true
	if len(p) > 0 {
		o.backlog, o.waiting = net.Buffers{p}, len(p)
	}
}

// release lets out what was held while the connection was accepted: the answer
// to its request and the first frames leave in one write.
func (c *Conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	if c.state == dead {
		return
	}
	held := slices.Concat(o.backlog...)
	n, err := 0, error(nil)
	if len(held) > 0 {
		n, err = c.link.attempt(held)
	}
	switch {
	case err != nil:
		c.die(CodeAbnormal)
	case n == len(held):
		c.flushed()
	default:
		o.backlog, o.waiting = net.Buffers{held[n:]}, len(held)-n
		c.link.flush(c)
	}
}

// flushed ends the work on the backlog: it has gone out, or the connection has
// ended. c.mu is held.
func (c *Conn) flushed() {
	o := &c.out
	o.backlog, o.waiting, o.flushing = nil, 0, false
	if o.last && c.state != dead {
		c.link.closeWrite()
	}
}

// taken drops what has been written from the head of the backlog.
func (o *outbox) taken(n int) {
	o.waiting -= n
	for len(o.backlog) > 0 && n >= len(o.backlog[0]) {
		n -= len(o.backlog[0])
		o.backlog[0] = nil
		o.backlog = o.backlog[1:]
	}
	if n > 0 {
		o.backlog[0] = o.backlog[0][n:]
	}
}
