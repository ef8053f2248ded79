package push

import "time"

// How long a lane waits before it tries a refused credential again.
const (
	firstPause = 30 * time.Second
	maxPause   = 5 * time.Minute
)

// pause is the state of a lane whose provider refuses the credential. When its
// time is over a single attempt probes whether an operator has mended it. It
// belongs to the lane's goroutine.
type pause struct {
	on bool
	// mistrust: it is the tokens that are refused, so only a success ends it.
	mistrust bool
	until    time.Time
	length   time.Duration
	since    time.Time
	reason   string // in the provider's word, the last time
}

// wait says how long nothing may be launched, with so many attempts in flight.
func (p *pause) wait(now time.Time, flying int) time.Duration {
	switch {
	case !p.on:
		return 0
	case now.Before(p.until):
		return p.until.Sub(now)
	case flying > 0:
		return tick // the probe is out; its answer wakes the lane
	}
	return 0
}

// begin starts a pause, or a longer one when a probe has failed. fresh is false
// for the answers of attempts that were under way when the pause began.
func (p *pause) begin(now time.Time, reason string) (fresh bool) {
	if p.on && now.Before(p.until) {
		return false
	}
	if !p.on {
		p.since = now
	}
	p.reason = reason
	p.on, p.mistrust, p.length = true, false, min(max(2*p.length, firstPause), maxPause)
	p.until = now.Add(p.length)
	return true
}

// end is called when the provider has taken the credential in an attempt begun
// at the given time; was tells whether that ended a pause. The answers of
// attempts that were under way when the pause began say nothing.
func (p *pause) end(begun time.Time) (was bool) {
	if !p.on || begun.Before(p.until) {
		return false
	}
	*p = pause{}
	return true
}
