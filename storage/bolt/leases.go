package bolt

import (
	"bytes"
	"sync"
	"time"
)

// leases are the batches that are out with a claimer. They live in memory only:
// the lock on the file is the lease on everything in it (docs/adr/0002). A batch
// is known by its queue key; it cannot be claimed while it is here and its time
// has not run out, nor while a settle of it is on its way to the disk.
//
// Order of locks: a claimer holds mu while it begins a read transaction and looks
// at keys, so nobody may wait for mu inside a transaction.
type leases struct {
	mu    sync.Mutex
	fence uint64
	held  map[string]*lease // by queue key
	// fronts are, per lane and class, a key below which every batch is leased until
	// the time beside it at least. Claims begin there: without it each would walk
	// over all that is out, which is hundreds of batches at the front of the queue.
	fronts map[string]front
}

type lease struct {
	fence    uint64
	until    time.Time
	length   time.Duration
	settling int // settles under way
}

type front struct {
	key   []byte
	until time.Time
}

// Fences of one opening of the file are all greater than those of the one before.
const fencesPerEpoch = 40 // bits

func newLeases(epoch uint64) *leases {
	return &leases{fence: epoch << fencesPerEpoch, held: map[string]*lease{}, fronts: map[string]front{}}
}

func (l *leases) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// out tells whether the key is leased at now, and until when. Callers hold mu.
func (l *leases) out(k []byte, now time.Time) (until time.Time, ok bool) {
	held := l.held[string(k)]
	switch {
	case held == nil:
		return time.Time{}, false
	case now.Before(held.until):
		return held.until, true
	case held.settling > 0: // it ends or is extended as soon as that is on disk
		return now.Add(held.length), true
	}
	return time.Time{}, false
}

// grant leases a key. Callers hold mu.
func (l *leases) grant(k []byte, now time.Time, length time.Duration) (fence uint64) {
	l.fence++
	l.held[string(k)] = &lease{fence: l.fence, until: now.Add(length), length: length}
	return l.fence
}

// start gives the key at which a claim of this queue begins. Callers hold mu.
func (l *leases) start(queue key, now time.Time) []byte {
	f, ok := l.fronts[string(queue)]
	if !ok || !now.Before(f.until) {
		delete(l.fronts, string(queue))
		return queue
	}
	return f.key
}

// advance notes that all below k is leased until then. Callers hold mu.
func (l *leases) advance(queue key, k []byte, until time.Time) {
	if until.IsZero() {
		return
	}
	if f, ok := l.fronts[string(queue)]; ok && f.until.Before(until) {
		until = f.until
	}
	l.fronts[string(queue)] = front{bytes.Clone(k), until}
}

// added tells of new keys in the queue.
func (l *leases) added(keys []key) {
	if len(keys) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		l.retreat(k)
	}
}

// retreat moves the front of the key's queue back to it. Callers hold mu.
func (l *leases) retreat(k []byte) {
	queue := string(k[:len(k)-ticketTail+1])
	if f, ok := l.fronts[queue]; ok && bytes.Compare(k, f.key) < 0 {
		l.fronts[queue] = front{bytes.Clone(k), f.until}
	}
}

// shorten has the front of the key's queue promise no more than a lease below it, which
// a clock that was set back has shortened. Callers hold mu.
func (l *leases) shorten(k []byte, until time.Time) {
	queue := string(k[:len(k)-ticketTail+1])
	if f, ok := l.fronts[queue]; ok && until.Before(f.until) {
		l.fronts[queue] = front{f.key, until}
	}
}

// begin marks a batch as being settled; ok is false when its lease is lost.
func (l *leases) begin(k string, fence uint64) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[k]
	if held == nil || held.fence != fence {
		return false
	}
	held.settling++
	return true
}

// What a settle leaves of a batch.
type remainder int

const (
	asItWas  remainder = iota // the settle failed
	partOut                   // some of it is still out
	released                  // what is left of it is free
	gone                      // nothing is left of it
)

// end takes back what begin did.
func (l *leases) end(k string, left remainder, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[k]
	if held == nil { // a settle of the same batch beside this one has ended it
		return
	}
	held.settling--
	switch left {
	case partOut:
		held.until = now.Add(held.length)
		l.shorten([]byte(k), held.until)
	case released:
		l.remove(k)
		l.retreat([]byte(k))
	case gone:
		l.remove(k)
	}
}

// remove ends a lease. Callers hold mu.
func (l *leases) remove(k string) {
	delete(l.held, k)
	if len(l.held) == 0 {
		clear(l.fronts)
	}
}

// drop gives leases back of batches that never reached their claimer.
func (l *leases) drop(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		l.remove(k)
		l.retreat([]byte(k))
	}
}
