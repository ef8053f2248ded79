package push

import "time"

// window is how many attempts a lane has in flight at once: all of its slots while
// the provider is well, fewer while it fails, so that a provider in trouble meets one
// probe after the other and not all of us at once. It halves at most once a second and
// doubles with every round of good answers (TCP's slow start, RFC 5681 §3.1). It
// belongs to the lane's goroutine.
type window struct {
	most  int
	open  int
	cutAt time.Time
}

func newWindow(slots int) window { return window{most: slots, open: slots} }

func (w *window) good() { w.open = min(w.open+1, w.most) }

func (w *window) bad(now time.Time) {
	if now.Sub(w.cutAt) >= time.Second {
		w.open, w.cutAt = max(w.open/2, 1), now
	}
}
