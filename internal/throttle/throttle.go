// Package throttle bounds how often each of many strangers may do something, in bounded
// memory: what it forgets is as good as new.
package throttle

import (
	"net/netip"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone/internal/gcra"
)

// most is how many callers one generation remembers: some 10 MB in all.
const most = 50_000

// A Limiter remembers callers by a key, in two generations. A caller who was not seen for
// a whole one has all of a minute's room again, so nothing is lost with the older one.
// When there are too many of them generations are short, and some are let do more. It is
// safe for concurrent use and starts no goroutine.
type Limiter[K comparable] struct {
	mu          sync.Mutex
	turned      time.Time
	now, before map[K]time.Time // what gcra keeps of each
}

// Room is what a caller has left.
type Room struct {
	Limit int           // a minute, and at once; 0: there is no limit
	Left  int           // now
	Reset time.Duration // until all of it is there again
	Wait  time.Duration // until there is room for this one; 0: there was
}

// Take books one more for the caller of so many a minute (0: no limit), all of which may
// come at once.
func (l *Limiter[K]) Take(key K, perMinute int) Room {
	if perMinute <= 0 {
		return Room{}
	}
	rate := gcra.PerMinute(perMinute)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.turn(now)
	due, fresh := l.now[key]
	if !fresh {
		due = l.before[key]
	}
	next, wait := rate.Take(due, now, 1)
	if wait == 0 {
		l.now[key] = next
	}
	return Room{Limit: perMinute, Left: rate.Left(next, now), Reset: max(0, next.Sub(now)), Wait: wait}
}

// turn begins a new generation when it is time, or when there are too many in this one.
func (l *Limiter[K]) turn(now time.Time) {
	if l.now != nil && now.Sub(l.turned) < time.Minute && len(l.now) < most {
		return
	}
	l.before, l.now, l.turned = l.now, make(map[K]time.Time), now
}

// Address is whom an address counts as: an IPv6 network of /64 as one, for each of its
// customers has that many. What is no address is one caller.
func Address(text string) netip.Prefix {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 64
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // which fails for no address of that many bits
	return p
}
