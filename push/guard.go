package push

import (
	"time"

	"github.com/diaphone-dev/diaphone"
)

// A mass event: when most tokens of a lane look dead or wrong at once, it is our
// set-up that is wrong (a key of the other environment, another project's account),
// not the phones. Then nothing is deleted.
const (
	guardSpan  = 5 * time.Minute
	guardLeast = 20  // bad tokens in the span, so that a few phones prove nothing
	guardShare = 0.5 // of the attempts that the provider has judged by their token
)

// guard counts good and bad tokens over a span, in halves. It belongs to the lane's
// goroutine.
type guard struct {
	turned      time.Time // when now became before
	now, before verdicts
	alarmed     bool
}

type verdicts struct{ good, bad int }

func (g *guard) note(at time.Time, bad bool) {
	if at.Sub(g.turned) > guardSpan/2 {
		g.before, g.now = g.now, verdicts{}
		if at.Sub(g.turned) > guardSpan {
			g.before = verdicts{}
		}
		g.turned = at
	}
	if bad {
		g.now.bad++
	} else {
		g.now.good++
	}
}

// trips tells whether too many are bad.
func (g *guard) trips() bool {
	bad, good := g.now.bad+g.before.bad, g.now.good+g.before.good
	return bad >= guardLeast && float64(bad) > guardShare*float64(bad+good)
}

// watch looks at what an answer says of its token, and keeps a mass event from doing
// harm: dead tokens are kept, and for wrong ones the lane waits. Not so where users say
// where tokens lead: a few subscriptions or tokens of somebody's own making would stop
// all others.
func (l *lane) watch(now time.Time, a *attempted) {
	verdict := a.outcome.Verdict
	if verdict == diaphone.Accepted || verdict == diaphone.Gone {
		l.dead.note(now, verdict == diaphone.Gone)
	}
	vouched := !l.foreign && !a.stranger
	if (verdict == diaphone.Accepted || verdict == diaphone.Suspect) && vouched {
		l.wrong.note(now, verdict == diaphone.Suspect)
	}
	dead, wrong := l.dead.trips(), l.wrong.trips()
	if dead {
		a.result.Forget = nil
	}
	if dead && !l.dead.alarmed {
		l.engine.Logger.Error("most tokens of a lane are said to be dead at once: none is removed",
			"lane", l.id, "reason", a.outcome.Reason,
			"hint", "check that the credential belongs to the app that the devices run")
	}
	l.dead.alarmed = dead
	if verdict == diaphone.Suspect && vouched && (wrong || l.pause.mistrust) {
		l.mistrust(now, a)
	}
	l.engine.Metrics.guarding(l.id, dead || l.pause.mistrust)
}

// mistrust pauses the lane and has the delivery made again when it is over. Single
// attempts probe meanwhile, each with another device.
func (l *lane) mistrust(now time.Time, a *attempted) {
	first := !l.pause.on
	if l.pause.begin(now, a.outcome.Reason) {
		if first {
			l.engine.Refused(l.id, a.outcome)
		}
		l.pause.mistrust = true
		l.engine.Metrics.pausing(l.id, true)
		l.engine.Logger.Error("most tokens of a lane are refused at once, as tokens of another app or environment: the lane is paused, its deliveries wait, no device is touched",
			"lane", l.id, "reason", a.outcome.Reason, "trying_again_in", l.pause.length,
			"hint", "check topic and environment of the credential in the apps file, then restart")
	}
	t := trial{now: now, expires: a.held.batch.Message.Expires, tries: a.result.Tries - 1}
	s := t.again(step{reason: a.outcome.Reason, tries: a.result.Tries, pause: true}, l.pause.until.Sub(now)+jitter(firstWindow, a.result.Tries))
	a.result.State, a.result.Reason, a.result.RetryAt = s.state, s.reason, s.retryAt
}
