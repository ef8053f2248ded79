package hooks

import (
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// One write of the store takes all that waits, up to so much; more would hold up
// the other writers.
const (
	appendNotices = 1000
	appendBytes   = 1 << 20
)

// keepLogs puts what is to be told into the logs until ctx ends, and at last what
// waits then; last bounds that.
func (e *Engine) keepLogs(ctx, last context.Context) {
	e.forgetStrayed(last)
	for ctx.Err() == nil {
		pause(ctx, e.appendAll(last), e.wake)
	}
	e.appendAll(last)
}

// forgetStrayed removes what nobody is told about any more.
func (e *Engine) forgetStrayed(ctx context.Context) {
	for some := range slices.Chunk(e.strayed, appendNotices) {
		e.write(ctx, storage.Append{Ended: some})
	}
	e.strayed = nil
}

// appendAll writes all that is to be told now, and says how long nothing more will
// be unless something happens.
func (e *Engine) appendAll(ctx context.Context) (wait time.Duration) {
	now := time.Now()
	w := writing{now: now}
	wait = tick
	for _, l := range e.ledgers {
		w.app = l.app
		told, next := l.take(now)
		for i := range told {
			n := told[i].notice
			w.add(n, told[i].stand, e.addressees(ctx, l.app, &n))
		}
		if !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
	}
	for _, a := range w.appends {
		e.write(ctx, a)
	}
	return wait
}

// addressees are the webhooks into whose logs a notice goes.
func (e *Engine) addressees(ctx context.Context, app *diaphone.App, n *diaphone.Notice) []diaphone.WebhookID {
	to := wanting(app, n.Kind, n.Channel)
	if isLoose(n.Kind) {
		to = slices.DeleteFunc(to, func(id diaphone.WebhookID) bool { return e.overflows(ctx, id) })
	}
	for _, id := range to {
		e.logs.add(id, weight(n))
	}
	return to
}

// overflows tells whether a notice that is no state has to be dropped, and counts it.
func (e *Engine) overflows(ctx context.Context, id diaphone.WebhookID) bool {
	full, err := e.logs.full(ctx, id)
	if err != nil && ctx.Err() == nil {
		e.Logger.Error("cannot read how much waits for a webhook", "webhook", id, "error", err)
	}
	if full {
		count(e.Metrics.dropped, id, 1)
	}
	return full
}

// writing collects notices into writes of the store.
type writing struct {
	app     *diaphone.App
	now     time.Time
	appends []storage.Append
	bytes   int // in the last of them
}

// add addresses a notice. With a stand, the notice says that this begins or ends.
func (w *writing) add(n diaphone.Notice, stand *storage.Stand, to []diaphone.WebhookID) {
	if len(to) == 0 && stand == nil {
		return
	}
	a := w.room(&n)
	if len(to) > 0 {
		n.ID, n.At = diaphone.NewNoticeID(w.now), w.now
		a.Notices = append(a.Notices, storage.AddressedNotice{Notice: n, Webhooks: to})
	}
	if stand == nil {
		return
	}
	switch _, down := kinds(stand); {
	case n.Kind == down:
		a.Ended = append(a.Ended, *stand)
	case len(to) > 0 || wants(w.app, down, n.Channel):
		a.Begun = append(a.Begun, *stand)
	}
}

// room gives the write that takes one more notice.
func (w *writing) room(n *diaphone.Notice) *storage.Append {
	size := weight(n)
	if last := len(w.appends) - 1; last >= 0 {
		a := &w.appends[last]
		if len(a.Notices)+len(a.Begun)+len(a.Ended) < appendNotices && w.bytes+size <= appendBytes {
			w.bytes += size
			return a
		}
	}
	w.appends = append(w.appends, storage.Append{})
	w.bytes = size
	return &w.appends[len(w.appends)-1]
}

// write puts one write into the store, however long that takes, and tells the
// senders. State that ctx keeps it from writing is compared again after the next
// start.
func (e *Engine) write(ctx context.Context, a storage.Append) {
	for tries := 0; ; tries++ {
		err := e.Notices.Append(ctx, a)
		if err == nil {
			if tries > 0 {
				e.Logger.Info("the store takes notices of webhooks again", "tries", tries)
			}
			break
		}
		if tries == 0 {
			e.Logger.Error("the store does not take notices of webhooks; trying again every second", "notices", len(a.Notices), "error", err)
		}
		pause(ctx, time.Second, nil)
		for _, l := range e.ledgers {
			l.forget(time.Now()) // nothing is taken out of them meanwhile
		}
		if ctx.Err() != nil {
			e.Logger.Error("stopped before the store took notices of webhooks: client events among them are lost", "notices", len(a.Notices))
			return
		}
	}
	for i := range a.Notices {
		for _, id := range a.Notices[i].Webhooks {
			count(e.Metrics.appended, id, 1)
			e.Wake(id)
		}
	}
}

// wants tells whether any webhook of an app wants to hear of something.
func wants(app *diaphone.App, kind diaphone.NoticeKind, c diaphone.ChannelName) bool {
	return slices.ContainsFunc(app.Webhooks, func(h diaphone.Webhook) bool { return h.Wants(kind, c) })
}

// wanting gives the webhooks of an app that want to hear of something.
func wanting(app *diaphone.App, kind diaphone.NoticeKind, c diaphone.ChannelName) (ids []diaphone.WebhookID) {
	for i := range app.Webhooks {
		if h := &app.Webhooks[i]; h.Wants(kind, c) {
			ids = append(ids, diaphone.WebhookID{App: app.ID, Name: h.Name})
		}
	}
	return ids
}
