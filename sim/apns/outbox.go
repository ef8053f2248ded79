package apns

import "sync"

// maxOutbox bounds what waits for the writer. Replies are bounded by the stream
// limit already; this stops a peer that floods with PING or SETTINGS and does not
// read (RFC 9113 section 10.5).
const maxOutbox = 16 << 10

// outgoing is something for the writer to do.
type outgoing interface {
	write(w *writer) error
}

// outbox carries frames from whoever has one (reader, timers, shutdown) to the
// writer of a connection. Its lock is never held during I/O.
type outbox struct {
	wake chan struct{}

	mu     sync.Mutex
	items  []outgoing
	closed bool
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put queues items in order; false means that there is no room or no writer any
// more.
func (o *outbox) put(items ...outgoing) bool {
	o.mu.Lock()
	ok := !o.closed && len(o.items)+len(items) <= maxOutbox
	if ok {
		o.items = append(o.items, items...)
	}
	o.mu.Unlock()
	o.ring()
	return ok
}

// close lets the writer write what waits and end.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.ring()
}

func (o *outbox) ring() {
	select {
	case o.wake <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// take waits for items and returns all there are; false when closed and empty.
// The caller gives back the previous slice for reuse.
func (o *outbox) take(reuse []outgoing) ([]outgoing, bool) {
	clear(reuse)
	for {
		o.mu.Lock()
		items, closed := o.items, o.closed
		if len(items) > 0 {
			o.items = reuse[:0]
		}
		o.mu.Unlock()
		if len(items) > 0 {
			return items, true
		}
		if closed {
			return nil, false
		}
		<-o.wake
	}
}
