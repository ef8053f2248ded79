package apns

import (
	"sync"
	"time"
)

// stream is one request and the place of its answer.
type stream struct {
	id      uint32
	request *request
	body    []byte
	ended   bool // guarded by streams.mu: the request is complete

	credit int64 // writer only: what WINDOW_UPDATE gave minus what was sent

	timer *time.Timer // reader only
}

// streams are those of one connection that are not answered yet. They decide
// about the limit and about the end of a connection that sent GOAWAY.
type streams struct {
	mu       sync.Mutex
	open     map[uint32]*stream
	limit    int
	last     uint32 // highest stream that is or was worked on
	draining bool   // GOAWAY is queued: later streams are ignored
	told     bool   // drained has returned true
}

type admission int

const (
	admitted admission = iota
	overLimit
	ignored // after GOAWAY
)

func (t *streams) admit(s *stream) admission {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.draining:
		return ignored
	case len(t.open) >= t.limit:
		return overLimit
	}
	t.open[s.id] = s
	t.last = s.id
	return admitted
}

func (t *streams) get(id uint32) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[id]
}

func (t *streams) has(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[s.id] == s
}

// end marks a request as complete.
func (t *streams) end(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.ended = true
}

// close takes a stream off and reports whether its request was complete.
func (t *streams) close(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, s.id)
	return s.ended
}

// raise sets the limit and reports whether that changed it.
func (t *streams) raise(limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := t.limit != limit
	t.limit = limit
	return changed
}

// drain ignores all later streams and returns the last that will be answered;
// false if it was draining before.
func (t *streams) drain() (uint32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.draining
	t.draining = true
	return t.last, first
}

// drained reports, once, that no later streams are wanted and every stream is
// answered.
func (t *streams) drained() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.draining && len(t.open) == 0 && !t.told
	t.told = t.told || now
	return now
}

func (t *streams) all() []*stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*stream, 0, len(t.open))
	for _, s := range t.open {
		out = append(out, s)
	}
	return out
}
