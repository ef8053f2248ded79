package fallback

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// inOrder is how long what a client says waits for what it has said before. A wait
// in vain halves the next, down to an eighth; another makes it whole.
const (
	inOrder  = 200 * time.Millisecond
	mostVain = 3
)

// order puts a client's requests in the order in which they were made: pusher-js
// does not wait for one before it makes the next, and they overtake each other on
// the way. It numbers all requests of a page, so a number that does not come may
// belong to another session; that is why waits are short. The zero value is a
// client of which nothing has come. It is guarded by session.mu.
type order struct {
	next    uint64              // all below have come, or are not waited for
	come    map[uint64]struct{} // those above that have come
	waiting []uint64            // requests that wait for their turn, or have it
	vain    int                 // waits in vain since the last of another kind
}

// mostCome bounds what is known of requests behind a gap.
const mostCome = 64

// numberOf reads a request's number; 0: it has none.
func numberOf(u *url.URL) uint64 {
	n, err := strconv.ParseUint(u.Query().Get("n"), 10, 53) // what JavaScript can count
	if err != nil {
		return 0
	}
	return n
}

// mark notes that a request has come and has had its turn. The first one says
// where to count from.
func (o *order) mark(n uint64) {
	if n == 0 || n < o.next {
		return
	}
	if o.come == nil {
		o.next, o.come = n, map[uint64]struct{}{}
	}
	o.come[n] = struct{}{}
	if len(o.come) > mostCome {
		o.next = slices.Min(slices.Collect(maps.Keys(o.come)))
	}
	for {
		if _, ok := o.come[o.next]; !ok {
			return
		}
		delete(o.come, o.next)
		o.next++
	}
}

// skip gives up what has not come before a request.
func (o *order) skip(n uint64) {
	o.next = n
	maps.DeleteFunc(o.come, func(m uint64, _ struct{}) bool { return m < n })
}

// await waits for a request's turn, which lasts until it has passed. s.mu is held.
func (s *session) await(ctx context.Context, n uint64) {
	o := &s.order
	if n == 0 {
		return
	}
	o.waiting = append(o.waiting, n)
	if o.next == 0 || n <= o.next {
		return
	}
	late, cancel := context.WithTimeout(ctx, inOrder>>o.vain)
	defer cancel()
	defer context.AfterFunc(late, s.wake)()
	// Whoever has waited long enough still goes behind an earlier one that waits.
	for n > o.next && s.over == nil && ctx.Err() == nil && (late.Err() == nil || n > slices.Min(o.waiting)) {
		s.changed.Wait()
	}
	if n > o.next {
		o.vain = min(o.vain+1, mostVain)
		o.skip(n)
	} else {
		o.vain = 0
	}
}

// passed ends a request's turn. s.mu is held.
func (s *session) passed(n uint64) {
	o := &s.order
	if i := slices.Index(o.waiting, n); i >= 0 {
		o.waiting = slices.Delete(o.waiting, i, i+1)
	}
	o.mark(n)
	s.changed.Broadcast()
}
