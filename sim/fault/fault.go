// Package fault holds the plan by which simulated vendors misbehave: which
// requests they refuse, delay or leave unanswered. What a reason means to a
// vendor, and what its body looks like, is the vendor's own business.
package fault

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Reasons that are no answer of a vendor's but something done to the connection.
const (
	Hang   = "hang"   // never answer
	GoAway = "goaway" // APNs: answer as usual, then send GOAWAY
	Refuse = "refuse" // APNs: reset the stream with REFUSED_STREAM
)

// Names of the vendors in a plan.
const (
	APNs    = "apns"
	FCM     = "fcm"
	WebPush = "webpush"
)

// maxLatency keeps a slip of the keyboard from looking like a hang.
const maxLatency = 10 * time.Minute

// Fault is one line of a plan, in the words of PUT /sim/faults.
type Fault struct {
	Provider    string `json:"provider"`
	Status      int    `json:"status,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Body        string `json:"body,omitempty"`         // instead of the vendor's own
	RetryAfter  int    `json:"retry_after,omitempty"`  // seconds
	LatencyMS   int    `json:"latency_ms,omitempty"`   // before the answer
	GoAwayEvery int    `json:"goaway_every,omitempty"` // APNs: requests of a connection between two GOAWAYs
	Count       int64  `json:"count,omitempty"`        // requests to hit; 0 = until deleted
	Device      string `json:"device,omitempty"`       // only requests to this phone
}

// OnlyDelays reports whether the fault leaves the answer as it is.
func (f *Fault) OnlyDelays() bool {
	return f.Status == 0 && f.Reason == "" && f.GoAwayEvery == 0
}

// Latency is LatencyMS as a duration.
func (f *Fault) Latency() time.Duration { return time.Duration(f.LatencyMS) * time.Millisecond }

// Check says what is wrong with the parts of a fault that mean the same to every
// vendor.
func (f *Fault) Check() error {
	switch {
	case f.Count < 0:
		return errors.New("count: must be 0 (until deleted) or more")
	case f.RetryAfter < 0:
		return errors.New("retry_after: must be 0 or more seconds")
	case f.LatencyMS < 0 || f.Latency() > maxLatency:
		return fmt.Errorf("latency_ms: must be between 0 and %d", maxLatency.Milliseconds())
	case f.GoAwayEvery < 0:
		return errors.New("goaway_every: must be 0 or more requests")
	case f.GoAwayEvery > 0 && (f.Status != 0 || f.Reason != "" || f.Count != 0 || f.Device != ""):
		return errors.New("goaway_every: stands alone; leave out status, reason, count and device")
	case f.Body != "" && f.Status == 0:
		return errors.New("body: needs a status")
	case f.OnlyDelays() && f.LatencyMS == 0:
		return errors.New("a fault needs a status, a reason, a latency_ms or goaway_every")
	}
	return nil
}

// Active is a fault of the present plan and how often it was hit.
type Active struct {
	Fault
	Hits int64 `json:"hits"`
}

type line struct {
	Fault
	hits atomic.Int64
}

// take claims one hit; false when the count is used up.
func (l *line) take() bool {
	if l.Count == 0 {
		l.hits.Add(1)
		return true
	}
	for {
		n := l.hits.Load()
		if n >= l.Count {
			return false
		}
		if l.hits.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Plan is the faults of all vendors. The zero value has none. All methods are
// safe for concurrent use and take no lock.
type Plan struct {
	lines atomic.Pointer[[]*line]
}

// Set replaces the plan.
func (p *Plan) Set(faults []Fault) {
	lines := make([]*line, len(faults))
	for i, f := range faults {
		lines[i] = &line{Fault: f}
	}
	p.lines.Store(&lines)
}

// List returns the plan, those used up included.
func (p *Plan) List() []Active {
	out := []Active{}
	if lines := p.lines.Load(); lines != nil {
		for _, l := range *lines {
			out = append(out, Active{l.Fault, l.hits.Load()})
		}
	}
	return out
}

// Effect is what a plan does to one request.
type Effect struct {
	Answer      *Fault // nil: as usual
	Delay       time.Duration
	GoAwayEvery int
}

// Take returns what happens to a request for device (which may be unknown and
// then is empty), and counts it. Latencies add up; of all that change the answer
// the first decides that is not used up.
func (p *Plan) Take(provider, device string) Effect {
	var e Effect
	lines := p.lines.Load()
	if lines == nil {
		return e
	}
	for _, l := range *lines {
		if l.Provider != provider || (l.Device != "" && l.Device != device) {
			continue
		}
		changes := l.Status != 0 || l.Reason != ""
		if changes && e.Answer != nil || !l.take() {
			continue
		}
		e.Delay += l.Latency()
		if changes {
			e.Answer = &l.Fault
		}
		if l.GoAwayEvery > 0 {
			e.GoAwayEvery = l.GoAwayEvery
		}
	}
	return e
}
