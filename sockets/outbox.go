package sockets

import "net"

// outbox holds what the kernel has not taken yet, by reference to the shared
// frames. It is guarded by Conn.mu.
type outbox struct {
	backlog  net.Buffers
	waiting  int  // bytes in the backlog and in the flusher's hands
	flushing bool // a flusher goroutine is at work
	last     bool // nothing follows: end our half of the stream when empty
}

func (o *outbox) empty() bool { return o.waiting == 0 && !o.flushing }

// push hands the frame to the kernel, or to the backlog. c.mu is held.
func (c *Conn) push(f *Frame) error {
	rest := f.wire
	o := &c.out
	if o.empty() {
		n, err := c.attempt(rest)
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
		// The reader is still counted, so the group cannot be waited down to zero here.
		o.flushing = true
		c.engine.readers.Go(c.flush)
	}
	return nil
}

// flush writes the backlog, all that waits in one writev, until none is left.
// It is the only place that waits for a peer, in a goroutine of its own.
func (c *Conn) flush() {
	for {
		batch, bytes := c.batch()
		if bytes == 0 {
			return
		}
		_, err := batch.WriteTo(c.sock)
		c.mu.Lock()
		c.out.waiting -= bytes
		c.mu.Unlock()
		if err != nil {
			c.end()
		}
	}
}

// batch takes the backlog, or ends the flusher's work.
func (c *Conn) batch() (net.Buffers, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	if c.state != dead && o.waiting > 0 {
		b := o.backlog
		o.backlog = nil
		return b, o.waiting
	}
	o.flushing = false
	if c.state == dead {
		o.backlog, o.waiting = nil, 0
	}
	if o.last && c.state != dead {
		c.closeWrite()
	}
	return nil, 0
}
