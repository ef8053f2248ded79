package sockets

import (
	"sync"
	"sync/atomic"
	"time"
)

// slots of the wheel; a connection due later than one turn is passed over until
// its time has come.
const slots = 128

// wheel is one hashed timing wheel for all connections of an engine: a timer for
// each would cost more than the connection (Varghese and Lauck, 1987, scheme 6).
type wheel struct {
	tick time.Duration
	now  atomic.Int64 // ticks since the start

	mu      sync.Mutex
	heads   [slots]*Conn
	size    int
	stopped bool
}

// timer is a connection's place on the wheel. It is guarded by wheel.mu, but for
// the last three, which are the ticking goroutine's.
type timer struct {
	next, prev *Conn
	due        int64
	on         bool

	period int64 // ticks of silence before a ping
	pinged int64 // the tick of the last ping
	missed int   // pings without an answer
}

func (w *wheel) ticks(d time.Duration) int64 {
	return max(1, int64((d+w.tick-1)/w.tick))
}

// add is false when the wheel has stopped. count runs under the lock.
func (w *wheel) add(c *Conn, after int64, count func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	count()
	c.timer.due = w.now.Load() + after
	w.link(c)
	return true
}

// expired tells whether a connection's time has come and was not moved since.
func (w *wheel) expired(c *Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return c.timer.due <= w.now.Load()
}

// reset moves a connection to a new time; one that has left stays away.
func (w *wheel) reset(c *Conn, after time.Duration) {
	w.resetTicks(c, w.now.Load()+w.ticks(after))
}

func (w *wheel) resetTicks(c *Conn, due int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.timer.on {
		return
	}
	w.unlink(c)
	c.timer.due = due
	w.link(c)
}

func (w *wheel) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.timer.on {
		w.unlink(c)
	}
}

func (w *wheel) link(c *Conn) {
	head := &w.heads[c.timer.due%slots]
	c.timer.next, c.timer.prev, c.timer.on = *head, nil, true
	if *head != nil {
		(*head).timer.prev = c
	}
	*head = c
	w.size++
}

func (w *wheel) unlink(c *Conn) {
	t := &c.timer
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.heads[t.due%slots] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	t.next, t.prev, t.on = nil, nil, false
	w.size--
}

// advance gives the connections whose time has come. They stay on the wheel,
// in a slot that is passed, until they are reset or removed.
func (w *wheel) advance(to int64) []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.now.Swap(to)
	if to-from > slots {
		from = to - slots // every slot once is enough
	}
	var due []*Conn
	for at := from + 1; at <= to; at++ {
		for c := w.heads[at%slots]; c != nil; c = c.timer.next {
			if c.timer.due <= to {
				due = append(due, c)
			}
		}
	}
	return due
}

// stop refuses newcomers and gives all who are here.
func (w *wheel) stop() []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	all := make([]*Conn, 0, w.size)
	for _, c := range w.heads {
		for ; c != nil; c = c.timer.next {
			all = append(all, c)
		}
	}
	return all
}

func (w *wheel) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}
