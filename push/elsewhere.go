package push

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/storage"
)

// An APNs token belongs to one of two environments and does not show to which: a
// build for debugging gets one of the sandbox, and says so as seldom as its
// developer thinks of it. APNs calls a token of the other environment bad. Where
// the app has a credential for that one too, it is asked once: if it takes the
// token, that is where the token belongs from now on.

// badToken is APNs' word for a token that its environment does not know.
const badToken = "BadDeviceToken"

// elsewhere is the app's way into the other environment; nil: there is none.
type elsewhere struct {
	provider    providers.Provider
	environment diaphone.Environment

	// What follows belongs to the lane's goroutine.
	tried map[registration]bool
	next  time.Time // not before
}

// registration is one token as it was registered once.
type registration struct {
	device diaphone.DeviceID
	kind   diaphone.TokenKind
	at     int64 // milliseconds
}

// Apple cuts off those who keep sending to bad tokens, and the other lane's pace is
// not asked: so attempts elsewhere are few, and never made while most tokens of the
// lane are refused, for then it is the set-up that is wrong.
const (
	elsewhereEvery = time.Second
	maxTried       = 10_000 // then all are forgotten, which takes hours
)

// elsewhereOf finds the credential for the other environment of the same app on phones.
func (e *Engine) elsewhereOf(app *diaphone.App, c diaphone.Credential) *elsewhere {
	for _, other := range app.Credentials {
		provider := e.Providers[diaphone.Lane{App: app.ID, Credential: other.Name}]
		if c.Provider == diaphone.APNs && other.Provider == diaphone.APNs && other.Environment != c.Environment && other.Topic == c.Topic && provider != nil {
			return &elsewhere{provider: provider, environment: other.Environment, tried: make(map[registration]bool)}
		}
	}
	return nil
}

// providerFor gives the provider for a token: another than the lane's own if the
// token has moved since the delivery was planned.
func (l *lane) providerFor(t *diaphone.Token) providers.Provider {
	if l.elsewhere != nil && t.Environment == l.elsewhere.environment {
		return l.elsewhere.provider
	}
	return l.provider
}

// retrial is an attempt that may be made elsewhere.
type retrial struct {
	delivery *diaphone.Delivery
	ctx      context.Context // of attempts
}

// tryElsewhere makes the attempt in the other environment, unless the guard says no.
// What it finds comes back as the outcome of the same attempt.
func (l *lane) tryElsewhere(now time.Time, a attempted) bool {
	e, r := l.elsewhere, a.again
	if e == nil || r == nil || a.outcome.Verdict != diaphone.Suspect || a.outcome.Reason != badToken ||
		r.delivery.Token.Environment == e.environment { // it was there already
		return false
	}
	m := a.held.batch.Message
	if l.pause.on || l.wrong.trips() || now.Before(e.next) || l.recalled[m.ID] || !m.Expires.After(now) {
		return false
	}
	key := registration{r.delivery.Device, r.delivery.Token.Kind, r.delivery.Token.RegisteredAt.UnixMilli()}
	if e.tried[key] {
		return false
	}
	if len(e.tried) >= maxTried {
		clear(e.tried)
	}
	e.tried[key], e.next = true, now.Add(elsewhereEvery)
	a.again = nil // this decides
	go func() { l.ended <- l.attemptElsewhere(r, a) }()
	return true
}

// attemptElsewhere gives what was known before, unless the other environment takes
// the delivery.
func (l *lane) attemptElsewhere(r *retrial, a attempted) attempted {
	ctx, cancel := context.WithTimeout(r.ctx, l.engine.AttemptTimeout)
	defer cancel()
	begun := time.Now()
	o := l.elsewhere.provider.Send(ctx, r.delivery)
	took := time.Since(begun)
	if o.Verdict != diaphone.Accepted {
		l.engine.Metrics.attempted(l.id, o, took)
		return a
	}
	l.engine.Metrics.attempted(l.id, *a.outcome, a.result.Attempt.Latency)
	a.outcome, a.step = &o, step{}
	a.result.State, a.result.Reason = diaphone.Delivered, ""
	a.result.Attempt = attemptOf(&o, begun, begun.Add(took))
	a.result.Move = &storage.Move{Device: r.delivery.Device, Token: r.delivery.Token, To: l.elsewhere.environment, Since: begun}
	l.engine.Logger.Info("a token belongs to the other environment of APNs, and is sent to there from now on", "lane", l.id, "environment", l.elsewhere.environment)
	return a
}

func attemptOf(o *diaphone.Outcome, begun, ended time.Time) *diaphone.Attempt {
	return &diaphone.Attempt{At: begun, Verdict: o.Verdict, Status: o.Status, Reason: o.Reason, ProviderID: o.ProviderID, Latency: ended.Sub(begun)}
}
