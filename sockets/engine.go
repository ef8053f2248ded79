package sockets

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// Config of an engine. Zero values mean the defaults.
type Config struct {
	Poller    string        // PollerEpoll or PollerGo; default: epoll where there is one
	ReadLimit int           // bytes of one message; over it the connection closes with CodeTooBig; default 16 KiB
	Backlog   int           // bytes that may wait for one slow peer; over it CodeSlow; default 256 KiB
	PingAfter time.Duration // silence before a ping; default 30 s
	PongWait  time.Duration // from one unanswered ping to the next, and to the end; default 20 s
	CloseWait time.Duration // for the peer's half of the closing handshake; default 5 s
}

// The pollers. Epoll is on Linux only and serves TCP, and TLS on a listener of
// BelowTLS; everything else gets a goroutine of its own for each connection,
// whatever the configuration says.
const (
	PollerEpoll = "epoll"
	PollerGo    = "go"
)

// missesAllowed pings may stay without an answer. With the default times a
// silent peer is found after 30 + 2 × 20 s, inside the 75 s of hosted Pusher.
const missesAllowed = 2

func (c Config) withDefaults() Config {
	c.ReadLimit = orDefault(c.ReadLimit, 16<<10)
	c.Backlog = orDefault(c.Backlog, 256<<10)
	c.PingAfter = orDefault(c.PingAfter, 30*time.Second)
	c.PongWait = orDefault(c.PongWait, 20*time.Second)
	c.CloseWait = orDefault(c.CloseWait, 5*time.Second)
	return c
}

func orDefault[T int | time.Duration](v, d T) T {
	if v > 0 {
		return v
	}
	return d
}

// tick is fine enough for the shortest of the times.
func (c Config) tick() time.Duration {
	return min(time.Second, max(time.Millisecond, min(c.PingAfter, c.PongWait, c.CloseWait)/5))
}

// ErrStopped is the answer of an engine that takes no connection any more.
var ErrStopped = errors.New("sockets: engine has stopped")

// Engine owns connections: their descriptors, their timers, their end.
type Engine struct {
	config  Config
	wheel   wheel
	readers sync.WaitGroup // connections that have not finished, and flushers
	pool    sync.Pool      // of *scratch
	writers sync.Pool      // of what a direct write needs
	slow    atomic.Uint64

	mu      sync.Mutex // guards the rest
	poller  poller     // opened for the first connection that it can serve
	without bool       // there is no poller, or no longer
}

// New makes an engine. It starts no goroutine; the first connections do.
func New(c Config) *Engine {
	c = c.withDefaults()
	return &Engine{
		config:  c,
		wheel:   wheel{tick: c.tick()},
		without: c.Poller == PollerGo,
		pool:    sync.Pool{New: func() any { return new(scratch) }},
		writers: sync.Pool{New: newWriter},
	}
}

// Run keeps the time (pings, dead peers, unanswered closes) until ctx ends, then
// closes what is left with CodeGoingAway and returns when every goroutine of
// every connection has returned. After that Upgrade refuses.
func (e *Engine) Run(ctx context.Context) error {
	start := time.Now()
	ticker := time.NewTicker(e.wheel.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.sweep()
			for _, c := range e.wheel.advance(int64(time.Since(start) / e.wheel.tick)) {
				e.due(c)
			}
		case <-ctx.Done():
			for _, c := range e.wheel.stop() {
				c.drop(CodeGoingAway, "The server has stopped")
			}
			e.readers.Wait()
			e.closePoller()
			return nil
		}
	}
}

// due decides what time has done to a connection.
func (e *Engine) due(c *Conn) {
	if !c.isOpen() {
		if e.wheel.expired(c) {
			c.end() // CloseWait has passed
		}
		return
	}
	now, heard := e.wheel.now.Load(), c.heard.Load()
	t := &c.timer
	if heard >= t.pinged {
		t.missed = 0
	}
	switch {
	case t.missed == 0 && now-heard < t.period:
		e.wheel.resetTicks(c, heard+t.period)
	case t.missed >= missesAllowed:
		c.drop(CodeDead, "Pong reply not received in time")
	default:
		_ = c.Send(ping(idle)) // a failed Send ends the connection itself
		t.pinged = now
		t.missed++
		e.wheel.reset(c, e.config.PongWait)
	}
}

// Stats of an engine.
type Stats struct {
	Open int    // connections
	Slow uint64 // connections ended because they did not read, since the start
}

// Stats may be asked at any time.
func (e *Engine) Stats() Stats { return Stats{Open: e.wheel.len(), Slow: e.slow.Load()} }

// Upgrade makes a WebSocket connection of the request, through any chain of
// net/http handlers that lets Hijack pass. The protocol is echoed when the client
// offers it as a sub-protocol. accept is called once, before anything is read; it
// may send already, and gives the connection its handler. After an error the
// client has its answer.
//
// How long a client may take to send its request is the http.Server's to say
// (ReadHeaderTimeout).
func (e *Engine) Upgrade(w http.ResponseWriter, r *http.Request, protocol string, accept func(*Conn) Handler) error {
	u := ws.HTTPUpgrader{Protocol: func(offered string) bool { return offered == protocol }}
	h := &heldAnswer{ResponseWriter: w}
	sock, rw, _, err := u.Upgrade(r, h)
	if err != nil {
		if sock != nil {
			_ = sock.SetWriteDeadline(time.Now().Add(refusalWait))
			_, _ = sock.Write(h.answer.Bytes()) // a client that is not there needs no answer
			_ = sock.Close()
		}
		return fmt.Errorf("sockets: upgrade: %w", err)
	}
	// A client may have sent its first frame together with the request.
	early, _ := rw.Peek(rw.Reader.Buffered())
	return e.adopt(sock, h.answer.Bytes(), early, accept)
}

// refusalWait bounds how long a refused client may take to hear of it.
const refusalWait = 5 * time.Second

// heldAnswer keeps the answer to an upgrade, so that it can leave in one write
// with the first frames.
type heldAnswer struct {
	http.ResponseWriter
	answer bytes.Buffer
}

// Hijack implements http.Hijacker.
func (h *heldAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	sock, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err == nil {
		rw.Writer = bufio.NewWriterSize(&h.answer, 256) // about what the answer has
	}
	return sock, rw, err
}

// Adopt makes a connection of a stream on which a WebSocket is open already, for
// a peer that came in another way than by a request of its own. The stream is the
// engine's from now on; accept is as for Upgrade.
func (e *Engine) Adopt(sock net.Conn, accept func(*Conn) Handler) error {
	return e.adopt(sock, nil, nil, accept)
}

func (e *Engine) adopt(sock net.Conn, answer, early []byte, accept func(*Conn) Handler) error {
	c := &Conn{engine: e}
	c.out.hold(answer)
	read := e.take(c, sock)
	c.heard.Store(e.wheel.now.Load())
	// Staggered, so that ten thousand who came at once are not all pinged at once.
	c.timer.period = e.wheel.ticks(e.config.PingAfter - rand.N(e.config.PingAfter/4+1))
	if !e.wheel.add(c, c.timer.period, func() { e.readers.Add(1) }) {
		c.end()
		return ErrStopped
	}
	c.handler = accept(c)
	c.release()
	read(early)
	return nil
}

// take gives a connection its link, and what starts the reading from it.
func (e *Engine) take(c *Conn, sock net.Conn) (read func(early []byte)) {
	if s, ok := sock.(interface {
		adopt(c *Conn) (read func(early []byte))
	}); ok {
		return s.adopt(c)
	}
	if tcp, session := layers(sock); tcp != nil {
		if session == nil {
			sock = tcp
		}
		if p := e.openPoller(); p != nil {
			if read := p.take(c, tcp, session); read != nil {
				return read
			}
		}
	}
	l := newGoLink(e, sock)
	c.link = l
	return func(early []byte) { go l.read(c, early) }
}

// plain gives the TCP connection that a socket is and nothing else.
func plain(sock net.Conn) (*net.TCPConn, bool) {
	if over, ok := sock.(interface{ plain() (*net.TCPConn, bool) }); ok {
		return over.plain()
	}
	tcp, ok := sock.(*net.TCPConn)
	return tcp, ok
}

// openPoller gives the poller, nil when there is none.
func (e *Engine) openPoller() poller {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.poller == nil && !e.without {
		e.poller = newPoller(e)
		e.without = e.poller == nil
	}
	return e.poller
}

// sweep sends guests away who have been waited for in vain.
func (e *Engine) sweep() {
	e.mu.Lock()
	p := e.poller
	e.mu.Unlock()
	if p != nil {
		p.sweep(e.wheel.now.Load())
	}
}

func (e *Engine) closePoller() {
	e.mu.Lock()
	p := e.poller
	e.poller, e.without = nil, true
	e.mu.Unlock()
	if p != nil {
		p.stop()
	}
}
