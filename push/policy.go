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
	retryFor    = 24 * time.Hour   // then a delivery fails, whatever its TTL
	throttled   = 10 * time.Second // first window where the provider says "too much" without a time
	maxAdvice   = time.Hour        // a longer Retry-After is taken as this
)

// trial is what the policy knows of a delivery when an attempt has ended.
type trial struct {
	now      time.Time
	accepted time.Time // when the message was
	expires  time.Time
	tries    int // attempts that counted, before this one
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
	advice := min(o.RetryAfter, maxAdvice)
	switch o.Verdict {
	case diaphone.Accepted:
		return step{state: diaphone.Delivered, tries: t.tries + 1}
	case diaphone.Refused, diaphone.Suspect:
		// A suspect token is not ours to delete: a wrong topic or environment in
		// our own set-up would wipe a fleet.
		return step{state: diaphone.Failed, reason: o.Reason, tries: t.tries + 1}
	case diaphone.Gone:
		return step{state: diaphone.Failed, reason: o.Reason, tries: t.tries + 1, forget: true}
	case diaphone.Denied:
		// The message did nothing wrong: the attempt does not count, and it waits
		// for as long as its lane does.
		return t.again(step{reason: o.Reason, tries: t.tries, pause: true}, 0)
	case diaphone.Throttled:
		wait := max(advice, jitter(throttled, t.tries))
		s := step{reason: o.Reason, tries: t.tries + 1}
		if o.Lane {
			s.tries, s.slow = t.tries, wait
		}
		return t.again(s, wait)
	case diaphone.Retry:
		return t.again(step{reason: o.Reason, tries: t.tries + 1}, max(advice, jitter(firstWindow, t.tries)))
	}
	// Unknown, or a verdict from a future provider: once more, then enough.
	if t.tries > 0 {
		return step{state: diaphone.Failed, reason: "unknown_answer", tries: t.tries + 1}
	}
	return t.again(step{reason: o.Reason, tries: t.tries + 1}, max(advice, jitter(firstWindow, t.tries)))
}

// again schedules another attempt, or ends the delivery when there would be no
// time for it.
func (t trial) again(s step, wait time.Duration) step {
	s.state, s.retryAt = diaphone.Pending, t.now.Add(wait)
	switch {
	case s.retryAt.After(t.expires):
		s.state, s.reason = diaphone.Expired, "expired"
	case s.retryAt.After(t.accepted.Add(retryFor)):
		s.state, s.reason = diaphone.Failed, "retries_exhausted"
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
