package push

import (
	"math/rand/v2"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// The retry schedule: full jitter over a doubling window (AWS Architecture
// Blog, "Exponential Backoff And Jitter"), so that what failed together does
// not come back together.
const (
	firstWindow = time.Second
	maxWindow   = 15 * time.Minute // Apple: retry 5xx after 15 minutes, sooner with back-off
	maxTries    = 200              // then a delivery fails, whatever its TTL: about a day of them
	throttled   = 10 * time.Second // first window where the provider says "too much" without a time
	maxAdvice   = time.Hour        // a longer Retry-After is taken as this
)

// trial is what the policy knows of a delivery when an attempt has ended.
type trial struct {
	now     time.Time
	expires time.Time
	tries   int // before this one
}

// step is what happens next.
type step struct {
	state   diaphone.State
	reason  string
	retryAt time.Time // state Pending only
	tries   int
	forget  bool          // the token is dead
	pause   bool          // the credential is bad: the lane waits for an operator
	slow    time.Duration // the lane waits this long
}

// decide is the whole retry policy: one switch over the verdict. It is pure but
// for the jitter.
func decide(o diaphone.Outcome, t trial) step {
	s := step{state: diaphone.Failed, reason: o.Reason, tries: t.tries + 1}
	advice := min(o.RetryAfter, maxAdvice)
	switch o.Verdict {
	case diaphone.Accepted:
		s.state, s.reason = diaphone.Delivered, ""
		return s
	case diaphone.Refused, diaphone.Suspect:
		// A suspect token is not ours to delete: a wrong topic or environment in
		// our own set-up would wipe a fleet.
		return s
	case diaphone.Gone:
		s.forget = true
		return s
	case diaphone.Denied:
		// The message did nothing wrong, so it never exhausts its tries; it waits as
		// long as its lane does. Should it be the only one that is denied, it comes
		// back ever more rarely and the others get by.
		s.pause = true
		return t.again(s, jitter(firstWindow, t.tries))
	case diaphone.Throttled:
		first := throttled
		if advice > 0 {
			first = firstWindow
		}
		wait := max(advice, jitter(first, t.tries))
		if o.Lane {
			s.slow = wait
		}
		return t.again(s, wait)
	case diaphone.Retry:
		return t.again(s, max(advice, jitter(firstWindow, t.tries)))
	}
	// Unknown, or a verdict from a future provider: once more, then enough.
	if t.tries > 0 {
		s.reason = diaphone.ReasonUnknownAnswer
		return s
	}
	return t.again(s, max(advice, jitter(firstWindow, t.tries)))
}

// again schedules another attempt, or ends the delivery when there would be no
// time for it.
func (t trial) again(s step, wait time.Duration) step {
	s.state, s.retryAt = diaphone.Pending, t.now.Add(wait)
	switch {
	case s.retryAt.After(t.expires):
		s.state, s.reason = diaphone.Expired, diaphone.ReasonExpired
	case s.tries >= maxTries && !s.pause:
		s.state, s.reason = diaphone.Failed, diaphone.ReasonRetriesExhausted
	}
	return s
}

// jitter draws from the window that has doubled once for each try.
func jitter(first time.Duration, tries int) time.Duration {
	window := maxWindow
	if tries < 10 { // 2^10 s is beyond the cap
		window = min(first<<tries, maxWindow)
	}
	return rand.N(window)
}
