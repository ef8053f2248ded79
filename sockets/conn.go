package sockets

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws"
)

// Errors of Send and Fence.
var (
	// ErrClosed: the connection is closed or closing.
	ErrClosed = errors.New("sockets: connection is closed")
	// ErrSlow: the peer reads too slowly; the connection is being ended for it.
	ErrSlow = errors.New("sockets: peer reads too slowly")
)

// Handler hears of one connection. Its methods are called one at a time and
// must not wait for anything: an engine may serve many connections in turn. What
// must wait (for a disk, another machine) goes to Conn.Apart.
type Handler interface {
	// OnMessage hears a whole text message, valid UTF-8. The payload is valid
	// during the call only, and may be written to.
	OnMessage(c *Conn, payload []byte)
	// OnPong hears that the peer has taken everything sent before the fence, and
	// so before every earlier fence (RFC 6455 §5.5.3: only the latest need be answered).
	OnPong(c *Conn, fence uint64)
	// OnClose is the last call, exactly once. The code is the peer's if it closed
	// first, else ours; CodeAbnormal when the connection broke.
	OnClose(c *Conn, code int)
}

// Conn is one WebSocket connection. Its methods are safe for concurrent use and
// never wait.
type Conn struct {
	engine  *Engine
	handler Handler
	place   int
	link    link
	timer   timer
	heard   atomic.Int64 // the tick of the last whole frame from the peer
	in      inbox        // the reader's own, as the next two
	deaf    bool         // the peer broke the protocol: what it still sends is dropped
	apart   func()       // what a callback has asked to be done before the next one

	mu    sync.Mutex
	state state
	code  int
	out   outbox
}

type state uint8

const (
	open    state = iota
	leaving       // a close frame is sent or queued
	dead          // nothing is sent or heard any more
)

// RemoteAddr gives the peer's address, nil once the connection has ended.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == dead {
		return nil
	}
	return c.link.remote()
}

// Place is a number to sort connections by: the kernel writes fastest to
// neighbours, one after the other.
func (c *Conn) Place() int { return c.place }

// Send writes the frame, or what the kernel does not take of it goes behind what
// already waits. When too much waits, the connection ends with CodeSlow.
// Frames of one goroutine arrive in order.
func (c *Conn) Send(f *Frame) error {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return ErrClosed
	}
	err := c.push(f)
	if err == nil {
		c.mu.Unlock()
		return nil
	}
	code := CodeAbnormal
	if errors.Is(err, ErrSlow) {
		code = CodeSlow
		c.engine.slow.Add(1)
	}
	c.die(code)
	c.mu.Unlock()
	return err
}

// Fence sends a ping that carries the id, which is not 0. OnPong gives it back
// once the peer's WebSocket stack has taken all that was sent before.
func (c *Conn) Fence(id uint64) error { return c.Send(ping(id)) }

// Close sends a close frame behind what waits and ends the connection when the
// peer has answered, at the latest after Config.CloseWait. Only the first call counts.
func (c *Conn) Close(code int, reason string) { c.leave(code, reason) }

// drop ends the connection now. The close frame goes along if there is room for
// it, behind what waits: where only a flusher writes, what waits may be under way.
func (c *Conn) drop(code int, reason string) {
	c.mu.Lock()
	if c.state == open {
		_ = c.push(closing(code, reason)) // the end follows either way
	}
	c.die(code)
	c.mu.Unlock()
}

func (c *Conn) leave(code int, reason string) {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return
	}
	c.state, c.code = leaving, code
	c.engine.wheel.reset(c, c.engine.config.CloseWait)
	if c.push(closing(code, reason)) != nil {
		c.die(CodeAbnormal)
	}
	c.mu.Unlock()
}

// fail answers a breach of the protocol (RFC 6455 §7.1.7): close frame, then the
// end of our half of the stream. Closing at once would make the kernel answer
// bytes still under way with a reset, which can overtake the close frame.
func (c *Conn) fail(f *fault) {
	c.leave(f.code, f.reason)
	c.deaf = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.last = true
	if c.state != dead && c.out.empty() {
		c.link.closeWrite()
	}
}

// die is the end. What the kernel still holds for a peer that does not read is
// given back at once. c.mu is held.
func (c *Conn) die(code int) {
	if c.state == dead {
		return
	}
	if c.state == open {
		c.code = code
	}
	c.state = dead
	c.link.shut(c, !c.out.empty())
}

// end closes what is left without another word.
func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.die(CodeAbnormal)
}

// Apart does what may wait, after the callback that asks for it has returned and
// before the next one. Meanwhile nothing is read from this peer, the others are
// served as ever, and Send and Close work. It is for OnMessage and OnPong only;
// of several calls in one callback the last counts.
func (c *Conn) Apart(work func()) { c.apart = work }

// follow is take for a goroutine that may wait.
func (c *Conn) follow(s *scratch, p []byte) bool {
	for c.take(s, p) {
		if c.apart == nil {
			return true
		}
		work := c.apart
		c.apart, p = nil, nil
		work()
	}
	return false
}

// take handles bytes that arrived, as far as a callback that asks for Apart. It is
// false when there is nothing more to read for.
//
// Of pings that arrived together the last is answered (RFC 6455 §5.5.3): a flood of
// them costs one write a turn, not one for each.
func (c *Conn) take(s *scratch, p []byte) bool {
	if c.deaf {
		return true
	}
	s.pinged = false
	alive := c.takeFrames(s, p)
	if s.pinged {
		_ = c.Send(compile(ws.OpPong, s.ping[:s.pingSize])) // a failed Send ends the connection itself
	}
	return alive
}

func (c *Conn) takeFrames(s *scratch, p []byte) bool {
	p = c.in.add(p)
	for len(p) > 0 && c.apart == nil {
		it, n, err := c.in.next(s, p, c.engine.config.ReadLimit)
		if err != nil {
			var f *fault
			if errors.As(err, &f) {
				c.fail(f)
			}
			return true
		}
		if n == 0 {
			break
		}
		p = p[n:]
		c.heard.Store(c.engine.wheel.now.Load())
		if !c.handle(s, it) {
			return false
		}
	}
	c.in.keep(p)
	return true
}

func (c *Conn) handle(s *scratch, it item) bool {
	switch it.op {
	case ws.OpText:
		if c.isOpen() {
			c.handler.OnMessage(c, it.payload)
		}
	case ws.OpPing:
		s.pinged, s.pingSize = true, copy(s.ping[:], it.payload)
	case ws.OpPong:
		if fence, ok := fenceOf(it.payload); ok {
			c.handler.OnPong(c, fence)
		}
	case ws.OpClose:
		// Answered or our own answered: either way the server closes first (RFC 6455 §7.1.1).
		c.leave(codeOf(it.payload), "")
		return false
	}
	return true
}

func (c *Conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == open
}

func (c *Conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == dead
}

// finish is the reader's last act: the engine knows the connection no more.
func (c *Conn) finish() {
	c.end()
	c.engine.wheel.remove(c)
	c.mu.Lock()
	code := c.code
	c.mu.Unlock()
	c.handler.OnClose(c, code)
	c.engine.readers.Done()
}
