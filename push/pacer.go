package push

import "time"

// pacer spaces the attempts of one lane: a token bucket in the form of the
// generic cell rate algorithm (ITU-T I.371), whose whole state is the time at
// which the next attempt is due. It belongs to the lane's goroutine.
type pacer struct {
	interval time.Duration // between attempts; 0: no limit
	slack    time.Duration // how far attempts may bunch
	due      time.Time     // when the next attempt would be exactly on time
	held     time.Time     // no attempt before it
}

// bunch is how far attempts may come early: timers are coarse.
const bunch = 5 * time.Millisecond

// newPacer allows rate attempts a second. They leave a little slower than
// that: on the way to the provider they bunch, and the provider counts arrivals.
func newPacer(rate float64) pacer {
	if rate <= 0 {
		return pacer{}
	}
	interval := time.Duration(float64(time.Second) / rate)
	return pacer{interval: interval + interval/50, slack: min(interval, bunch)}
}

// take books one attempt now, or says how long to wait for it.
func (p *pacer) take(now time.Time) (wait time.Duration) {
	if wait := p.held.Sub(now); wait > 0 {
		return wait
	}
	if p.interval == 0 {
		return 0
	}
	if p.due.Before(now) {
		p.due = now
	}
	if wait := p.due.Sub(now) - p.slack; wait > 0 {
		return wait
	}
	p.due = p.due.Add(p.interval)
	return 0
}

// refund gives back an attempt that was booked and not made.
func (p *pacer) refund() { p.due = p.due.Add(-p.interval) }

// hold lets nothing through before the time. news is false when an earlier hold
// says about as much.
func (p *pacer) hold(until time.Time) (news bool) {
	news = until.Sub(p.held) > time.Second
	if until.After(p.held) {
		p.held = until
	}
	return news
}
