package push

import (
	"time"

	"github.com/diaphone-dev/diaphone/internal/gcra"
)

// pacer spaces the attempts of one lane. It belongs to the lane's goroutine.
type pacer struct {
	rate gcra.Rate
	due  time.Time // when the next attempt would be exactly on time
	held time.Time // no attempt before it
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
	return pacer{rate: gcra.Rate{Interval: interval + interval/50, Slack: min(interval, bunch)}}
}

// take books one attempt now, or says how long to wait for it.
func (p *pacer) take(now time.Time) (wait time.Duration) {
	if wait := p.held.Sub(now); wait > 0 {
		return wait
	}
	p.due, wait = p.rate.Take(p.due, now, 1)
	return wait
}

// refund gives back an attempt that was booked and not made.
func (p *pacer) refund() { p.due = p.due.Add(-p.rate.Interval) }

// hold lets nothing through before the time. news is false when an earlier hold
// says about as much.
func (p *pacer) hold(until time.Time) (news bool) {
	news = until.Sub(p.held) > time.Second
	if until.After(p.held) {
		p.held = until
	}
	return news
}
