package push

import "time"

// window is how many attempts a lane has in flight at once: all of its slots while
// the provider is well, fewer while it fails, so that a provider in trouble meets one
// probe after the other and not all of us at once. It halves at most once a second and
// doubles with every round of good answers (TCP's slow start, RFC 5681 §3.1). It
// belongs to the lane's goroutine.
//
// Broadcasts never take the last slots: a message to one person finds one free. And
// when this machine is so busy that attempts wait for a processor, broadcasts take
// half of the slots: more would make that queue longer and nothing faster, and the
// message to one person stands in it too.
type window struct {
	most  int
	open  int
	cutAt time.Time
	bulk  int // slots for broadcasts: from half of them to all but spare
}

const (
	spare   = 64                   // one slot of so many is kept from broadcasts
	busyLag = 5 * time.Millisecond // an attempt that starts later than this after its launch has waited for a processor
)

func newWindow(slots int) window {
	w := window{most: slots, open: slots}
	w.bulk = w.widest()
	return w
}

func (w *window) widest() int { return w.most - w.most/spare }

// room is how many attempts may be in flight for one more to be launched.
func (w *window) room(urgent bool) int {
	if urgent {
		return w.open
	}
	return min(w.open, w.bulk)
}

// started hears how long after its launch an attempt has begun to run.
func (w *window) started(lag time.Duration) {
	if lag > busyLag {
		w.bulk = max(w.bulk-1, (w.most+1)/2)
	} else {
		w.bulk = min(w.bulk+1, w.widest())
	}
}

func (w *window) good() { w.open = min(w.open+1, w.most) }

func (w *window) bad(now time.Time) {
	if now.Sub(w.cutAt) >= time.Second {
		w.open, w.cutAt = max(w.open/2, 1), now
	}
}
