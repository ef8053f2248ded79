package push

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// attempted is what became of one launched delivery.
type attempted struct {
	held    *held
	result  storage.Result
	outcome *diaphone.Outcome // nil: no attempt was made
	wait    *waiting          // nothing has become of it yet: a proof is awaited
	step    step
	device  diaphone.DeviceID // that an attempt was made for
	again   *retrial          // the attempt may be made elsewhere

	stranger bool          // the device was made by an installation: nobody of the app vouches for its token
	lag      time.Duration // from its launch until it ran
	launched bool          // it has taken a slot as an attempt, and counts as in flight until it is durable
}

// ended is the result of a delivery that needed no attempt.
func ended(item storage.Item, s diaphone.State, reason string) storage.Result {
	return storage.Result{Index: item.Index, State: s, Reason: reason, Tries: item.Tries}
}

// attempt makes one attempt, unless the device as it is now says otherwise. It
// runs in a goroutine of its own and always returns.
func (l *lane) attempt(attempts context.Context, h *held, item storage.Item) attempted {
	ctx, cancel := context.WithTimeout(attempts, l.engine.AttemptTimeout)
	defer cancel()
	m := h.batch.Message
	device, err := l.engine.Devices.Device(ctx, l.id.App, item.Device)
	if diaphone.CodeOf(err) == diaphone.NotFound {
		return attempted{held: h, result: ended(item, diaphone.Cancelled, diaphone.ReasonDeviceDeleted)}
	}
	if err != nil {
		// The store's trouble, not the delivery's: the same again, uncounted.
		again := ended(item, diaphone.Pending, diaphone.ReasonStoreUnavailable)
		again.RetryAt = time.Now().Add(time.Second)
		return attempted{held: h, result: again}
	}
	if !m.To.Matches(&device) {
		return attempted{held: h, result: ended(item, diaphone.Cancelled, diaphone.ReasonLeftAudience)}
	}
	if a, spared := l.taken(h, item, &device); spared {
		return a
	}
	token := tokenOf(&device, item.Kind)
	if token == nil {
		return attempted{held: h, result: ended(item, diaphone.Failed, diaphone.ReasonNoToken)}
	}
	if !token.Active() {
		return attempted{held: h, result: ended(item, diaphone.Failed, diaphone.ReasonTokenGone)}
	}
	d := &diaphone.Delivery{ID: diaphone.DeliveryID(m.ID, device.ID), Message: m, Device: device.ID, Token: *token}
	begun := time.Now()
	o := l.providerFor(token).Send(ctx, d)
	now := time.Now()
	s := decide(o, trial{now: now, expires: m.Expires, tries: item.Tries})
	r := storage.Result{Index: item.Index, State: s.state, Reason: s.reason, RetryAt: s.retryAt, Tries: s.tries}
	r.Attempt = attemptOf(&o, begun, now)
	if s.forget {
		since := o.GoneSince
		if since.IsZero() {
			since = begun
		}
		r.Forget = &storage.Forget{Device: device.ID, Token: *token, Since: since, Reason: o.Reason}
	}
	a := attempted{held: h, result: r, outcome: &o, step: s, device: device.ID, stranger: device.SecretHash != (diaphone.TokenHash{})}
	if o.Verdict == diaphone.Suspect && l.elsewhere != nil {
		a.again = &retrial{delivery: d, ctx: attempts}
	}
	return a
}

func tokenOf(d *diaphone.Device, kind diaphone.TokenKind) *diaphone.Token {
	for i := range d.Tokens {
		if d.Tokens[i].Kind == kind {
			return &d.Tokens[i]
		}
	}
	return nil
}

// collect takes an ended attempt into the lane's state: what it means for the
// lane happens at once, what it means for the delivery waits to be settled.
func (l *lane) collect(a attempted) {
	l.window.started(a.lag)
	if a.wait != nil {
		recalled := l.recalled[a.held.batch.Message.ID]
		if !recalled && l.await(a.wait) {
			l.landed(a)
			l.flying--
			l.pacer.refund()
			return
		}
		a.result = ended(a.wait.item, diaphone.Pending, diaphone.ReasonAwaiting)
		a.result.RetryAt = a.wait.until
		if recalled {
			a.result = ended(a.wait.item, diaphone.Cancelled, diaphone.ReasonCancelled)
		}
	}
	if a.again != nil && l.tryElsewhere(time.Now(), a) {
		return
	}
	defer func() { l.results = append(l.results, a) }()
	if a.outcome == nil {
		l.pacer.refund() // it was booked, and nothing was sent
		return
	}
	now := time.Now()
	l.engine.Metrics.attempted(l.id, *a.outcome, a.result.Attempt.Latency)
	l.watch(now, &a)
	switch a.outcome.Verdict {
	case diaphone.Denied:
		l.suspend(now, a.outcome)
		if back := l.pause.until.Add(jitter(firstWindow, a.result.Tries)); a.result.Tries > 1 && a.result.RetryAt.Before(back) {
			a.result.RetryAt = back // denied again: let another delivery be the next probe
		}
	case diaphone.Throttled:
		if a.step.slow == 0 {
			l.quiet.hush(a.device, a.result.RetryAt, now)
		}
		if a.step.slow > 0 && l.pacer.hold(now.Add(a.step.slow)) {
			l.engine.Logger.Warn("the provider asks us to slow down", "lane", l.id, "reason", a.outcome.Reason, "for", a.step.slow)
		}
	case diaphone.Retry:
		l.window.bad(now)
	case diaphone.Accepted, diaphone.Refused, diaphone.Gone, diaphone.Suspect:
		l.window.good()
		if l.pause.mistrust && a.outcome.Verdict != diaphone.Accepted {
			break
		}
		// It looked at the message, so it took the credential.
		if l.pause.end(a.result.Attempt.At) {
			l.wrong = guard{}
			l.engine.Metrics.pausing(l.id, false)
			l.engine.Metrics.guarding(l.id, l.dead.alarmed)
			l.engine.Refused(l.id, nil)
			l.engine.Logger.Info("the provider takes the credential again; the lane goes on", "lane", l.id)
		}
	}
}

// suspend pauses the lane: its credential is refused. No device is touched.
func (l *lane) suspend(now time.Time, o *diaphone.Outcome) {
	first := !l.pause.on
	if !l.pause.begin(now, o.Reason) {
		return
	}
	if first {
		l.engine.Refused(l.id, o)
	}
	l.engine.Metrics.pausing(l.id, true)
	l.engine.Logger.Error("the provider refuses our credential: the lane is paused, its deliveries wait, no device is touched",
		"lane", l.id, "status", o.Status, "reason", o.Reason, "error", o.Err, "trying_again_in", l.pause.length,
		"hint", "run diaphone doctor: it asks the provider what is wrong with the credential; mend the apps file, then restart")
}
