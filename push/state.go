package push

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// LaneState is how a lane fares at this moment. The zero value: nothing holds it up.
type LaneState struct {
	Undeclared bool // the apps file does not have its credential any more
	Paused     bool // the provider refuses the credential, or most of its tokens (Mistrust)
	Mistrust   bool
	Reason     string    // of the pause, in the provider's word
	Since      time.Time // of the pause
	ProbeAt    time.Time // when a single attempt asks whether the pause is over
	Guarded    bool      // most tokens look dead at once, and none is removed
	SlowUntil  time.Time // the provider has asked for silence; zero, or past: it has not
	InFlight   int       // attempts under way, or not yet recorded
	Window     int       // how many may be: fewer than Slots while the provider fails
	Slots      int
	Held       int // claimed from the queue, and not begun
}

// LaneState tells how a lane fares. ok is false for one that is unknown here, or has
// stopped. It waits for the lane's next turn, which takes no longer than a look into
// the store, or for the context.
func (e *Engine) LaneState(ctx context.Context, id diaphone.Lane) (s LaneState, ok bool) {
	l := e.lanes[id]
	if l == nil {
		return LaneState{}, false
	}
	answer := make(chan LaneState, 1)
	select {
	case l.looks <- answer:
		return <-answer, true
	case <-l.stopped:
	case <-ctx.Done():
	}
	return LaneState{}, false
}

// state is said by the lane's own goroutine.
func (l *lane) state(now time.Time) LaneState {
	s := LaneState{
		Undeclared: l.provider == nil, Guarded: l.dead.alarmed,
		InFlight: l.flying, Window: l.window.open, Slots: l.window.most, Held: l.work.len() + len(l.waiting.all),
	}
	if p := &l.pause; p.on {
		s.Paused, s.Mistrust, s.Reason, s.Since, s.ProbeAt = true, p.mistrust, p.reason, p.since, p.until
	}
	if l.pacer.held.After(now) {
		s.SlowUntil = l.pacer.held
	}
	return s
}
