package apns

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// pool keeps a few long-lived connections to APNs and hands out their streams
// in the order of asking. It opens connections and starts goroutines only when
// streams are asked for, and Close ends them all.
//
// net/http's own pool answers a burst on a cold connection with more connections
// and refused streams; seconds pass before it calms down. Here a request waits
// for a stream that is surely free, and every connection proves itself with one
// real push before it gets more.
type pool struct {
	dial   func(ctx context.Context) (*http.ClientConn, error)
	size   int
	signer *signer

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	signal chan struct{} // one slot: something about a connection has changed
	wg     sync.WaitGroup

	mu       sync.Mutex
	started  bool
	closed   bool
	active   []*conn
	leaving  []*conn // draining or retired: no new requests, unless a draining one recovers
	next     int     // where in active the last stream was found
	waiting  []*waiter
	dialling int
	failures int       // connections in a row that never served
	lastErr  error     // of the last of them
	notUntil time.Time // no dialling before, after failures
	doomed   []*conn   // to close when the lock is free
}

// waiter is a request that waits for its stream.
type waiter struct {
	got chan grant // one slot
}

// grant is a stream on a connection, or the reason why there is none.
type grant struct {
	conn  *conn
	token bearer
	err   error
}

// Pauses between attempts to connect, after failures.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 30 * time.Second
)

var errClosed = errors.New("the APNs provider is closed")

// unreachable says that no connection can be had.
type unreachable struct {
	err   error
	until time.Time // of the next attempt to connect
}

func (u *unreachable) Error() string { return "connect to APNs: " + u.err.Error() }
func (u *unreachable) Unwrap() error { return u.err }

func newPool(size int, s *signer, dial func(context.Context) (*http.ClientConn, error)) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{dial: dial, size: size, signer: s, ctx: ctx, cancel: cancel, signal: make(chan struct{}, 1)}
}

// acquire waits for a stream until ctx ends. The caller makes exactly one
// RoundTrip on the connection and then calls settle.
func (p *pool) acquire(ctx context.Context) grant {
	if err := ctx.Err(); err != nil {
		return grant{err: err}
	}
	p.mu.Lock()
	p.start()
	var w *waiter
	g, ok := grant{}, false
	if len(p.waiting) == 0 { // nobody is overtaken
		g, ok = p.grant()
	}
	if !ok {
		w = &waiter{got: make(chan grant, 1)}
		p.waiting = append(p.waiting, w)
		p.tend()
	}
	p.unlock()
	if ok {
		return g
	}
	select {
	case g := <-w.got:
		return g
	case <-ctx.Done():
		p.giveUp(w)
		return grant{err: ctx.Err()}
	}
}

// giveUp takes a waiter out of the queue. If it is not there any more, a stream
// was granted at the same moment, and is returned.
func (p *pool) giveUp(w *waiter) {
	p.mu.Lock()
	defer p.unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return
	}
	if g := <-w.got; g.conn != nil {
		g.conn.release()
		p.wake()
	}
}

// grant finds a free stream: on a cold connection first, for that warms it;
// otherwise on the warm ones in turn.
func (p *pool) grant() (grant, bool) {
	if p.closed {
		return grant{err: errClosed}, true
	}
	p.sweep()
	for _, c := range p.active {
		if !c.warm && p.reserve(c) {
			return p.on(c)
		}
	}
	for range p.active {
		p.next = (p.next + 1) % len(p.active)
		if c := p.active[p.next]; c.warm && p.reserve(c) {
			return p.on(c)
		}
	}
	return grant{}, false
}

func (p *pool) on(c *conn) (grant, bool) {
	token, err := c.present(p.signer, time.Now())
	if err != nil {
		c.release()
		return grant{err: err}, true
	}
	return grant{conn: c, token: token}, true
}

func (p *pool) reserve(c *conn) bool {
	ok, draining := c.reserve()
	if draining {
		p.wake() // the next sweep moves it
		c.limit = -1
	}
	return ok
}

// result is how a request on a connection ended.
type result int

const (
	answered      result = iota // but nothing proves that APNs took our token
	authenticated               // answered, and it did
	unanswered
	retiring // answered, and the connection is to take no more
	outdated // the same, for its provider token: another connection will do better
)

var errNeverServed = errors.New("the connection ended before it served a request")

// settle hears how the request on a granted stream ended.
func (p *pool) settle(c *conn, r result) {
	p.mu.Lock()
	defer p.unlock()
	wasCold := !c.warm
	c.probing = false
	switch r {
	case authenticated:
		c.warm = true
		p.failures = 0
	case retiring:
		p.retire(c)
	case outdated:
		c.retired = true
	case unanswered:
		// A warm connection lives on: the next ping, read or reservation tells.
		if wasCold && c.cc.Err() != nil {
			p.retire(c)
		}
	}
	if wasCold || c.retired {
		p.wake()
	}
}

// retire takes a connection out of service. One that never served counts as a
// failure to connect: a server that ends them all must not be stormed.
func (p *pool) retire(c *conn) {
	if !c.warm && !c.retired {
		p.failed(errNeverServed)
	}
	c.retired = true
}

// start begins to listen for changes; once.
func (p *pool) start() {
	if p.started || p.closed {
		return
	}
	p.started = true
	p.wg.Go(func() {
		for {
			select {
			case <-p.signal:
				p.mu.Lock()
				p.serve()
				p.unlock()
			case <-p.ctx.Done():
				return
			}
		}
	})
}

// wake never waits: net/http calls it while it holds locks of its own, and from
// within Reserve and RoundTrip.
func (p *pool) wake() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// serve grants streams to those who wait, first come first served, for as long
// as there are any.
func (p *pool) serve() {
	p.sweep()
	for len(p.waiting) > 0 {
		g, ok := p.grant()
		if !ok {
			break
		}
		p.waiting[0].got <- g
		p.waiting = p.waiting[1:]
	}
	p.tend()
}

// sweep sorts the connections: dead ones are forgotten, those on their way out
// set aside, those that have recovered taken back.
func (p *pool) sweep() {
	keep := p.active[:0]
	for _, c := range p.active {
		switch {
		case c.cc.Err() != nil:
			if !c.probing { // otherwise settle hears of it
				p.retire(c)
			}
			p.doomed = append(p.doomed, c)
		case !c.warm && c.limit < 0: // told to go before its first request
			p.retire(c)
			p.leaving = append(p.leaving, c)
		case c.retired || c.limit < 0:
			p.leaving = append(p.leaving, c)
		default:
			keep = append(keep, c)
		}
	}
	clear(p.active[len(keep):])
	p.active = keep
	stay := p.leaving[:0]
	for _, c := range p.leaving {
		switch {
		case c.cc.Err() != nil:
			p.doomed = append(p.doomed, c)
		case !c.retired && c.cc.Available() > 0: // its limit was lowered, that was all
			c.limit = 0
			p.active = append(p.active, c)
		case c.cc.InFlight() == 0:
			p.doomed = append(p.doomed, c)
		default:
			stay = append(stay, c)
		}
	}
	clear(p.leaving[len(stay):])
	p.leaving = stay
}

// tend opens what is missing. A pool that nobody uses opens nothing; after
// failures it opens one at a time, after a pause; and while it cannot, those who
// wait hear so at once instead of waiting for nothing.
func (p *pool) tend() {
	if p.closed || !p.busy() {
		return
	}
	missing := p.size - len(p.active) - p.dialling
	if p.failures > 0 {
		missing = min(missing, 1-p.dialling)
		if time.Now().Before(p.notUntil) {
			missing = 0
		}
	}
	for range missing {
		p.dialling++
		p.wg.Go(p.connect)
	}
	if p.dialling == 0 && len(p.active) == 0 {
		p.refuse(&unreachable{err: p.lastErr, until: p.notUntil})
	}
}

// busy tells whether anyone waits for a stream or uses one.
func (p *pool) busy() bool {
	if len(p.waiting) > 0 {
		return true
	}
	for _, c := range p.active {
		if c.cc.InFlight() > 0 {
			return true
		}
	}
	return len(p.leaving) > 0
}

// refuse answers everyone who waits.
func (p *pool) refuse(err error) {
	for _, w := range p.waiting {
		w.got <- grant{err: err}
	}
	p.waiting = nil
}

// connect opens one connection.
func (p *pool) connect() {
	cc, err := p.dial(p.ctx)
	p.mu.Lock()
	defer p.unlock()
	p.dialling--
	switch {
	case err != nil:
		p.failed(err)
	case p.closed:
		p.doomed = append(p.doomed, &conn{cc: cc})
	default:
		p.active = append(p.active, &conn{cc: cc})
		cc.SetStateHook(func(*http.ClientConn) { p.wake() })
	}
	p.wake()
}

// failed counts a connection that never served and sets the pause before the
// next: exponential with jitter, for Apple takes fast reconnecting for an attack.
func (p *pool) failed(err error) {
	p.failures++
	p.lastErr = err
	pause := min(firstPause<<min(p.failures-1, 10), maxPause)
	p.notUntil = time.Now().Add(pause/2 + rand.N(pause/2))
}

// unlock frees the lock and then closes what has been given up: closing writes
// to the network.
func (p *pool) unlock() {
	doomed := p.doomed
	p.doomed = nil
	p.mu.Unlock()
	for _, c := range doomed {
		_ = c.cc.Close() // it is of no more use either way
	}
}

// close ends all connections and waits for the pool's goroutines.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.doomed = append(append(p.doomed, p.active...), p.leaving...)
	p.active, p.leaving = nil, nil
	p.refuse(errClosed)
	p.unlock()
	p.cancel()
	p.wg.Wait()
	return nil
}
