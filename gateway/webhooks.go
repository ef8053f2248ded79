package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// WebhookState is what the sender of notices knows of a webhook. The zero value:
// all is well, or nothing has been sent yet.
type WebhookState struct {
	FailingSince time.Time // the first of the failed attempts since the last good one
	NextAttempt  time.Time
	LastStatus   int    // HTTP status of the last attempt; 0: there was no answer, or no attempt
	LastError    string // of the last attempt; carries no secret
}

// WebhookReport is how a webhook fares.
type WebhookReport struct {
	Webhook  diaphone.Webhook // nothing but the name when it is not declared
	Declared bool             // in the apps file; else it is a queue that was left behind
	Kinds    []diaphone.NoticeKind
	Queue    storage.NoticeQueue
	State    WebhookState
}

// Webhooks gives the app's webhooks as they are declared, and after them queues of
// earlier ones that still hold something.
func (g *Gateway) Webhooks(ctx context.Context, app *diaphone.App) ([]WebhookReport, error) {
	queues, err := g.parts.Notices.Queues(ctx, app.ID)
	if err != nil {
		return nil, err
	}
	var states map[diaphone.WebhookID]WebhookState
	if g.parts.WebhookStates != nil {
		states = g.parts.WebhookStates()
	}
	var reports []WebhookReport
	for _, w := range app.Webhooks {
		id := diaphone.WebhookID{App: app.ID, Name: w.Name}
		w.Form = cmp.Or(w.Form, diaphone.FormPusher)
		r := WebhookReport{Webhook: w, Declared: true, Kinds: kindsOf(app, &w), State: states[id]}
		if i := slices.IndexFunc(queues, func(q storage.NoticeQueue) bool { return q.Webhook == id }); i >= 0 {
			r.Queue = queues[i]
		}
		reports = append(reports, r)
	}
	for _, q := range queues {
		if declared(app, q.Webhook.Name) || q.Pending+q.Dead == 0 {
			continue
		}
		reports = append(reports, WebhookReport{Webhook: diaphone.Webhook{Name: q.Webhook.Name}, Queue: q})
	}
	return reports, nil
}

// kindsOf gives the kinds of notices that the webhook may hear of.
func kindsOf(app *diaphone.App, w *diaphone.Webhook) []diaphone.NoticeKind {
	if len(w.Notices) > 0 {
		return w.Notices
	}
	return slices.DeleteFunc(w.Form.Kinds(), func(k diaphone.NoticeKind) bool {
		return k == diaphone.SubscriptionCount && !app.Channels.SubscriptionCount ||
			k == diaphone.ClientEvent && !app.Channels.ClientEvents
	})
}

func declared(app *diaphone.App, name string) bool {
	return slices.ContainsFunc(app.Webhooks, func(w diaphone.Webhook) bool { return w.Name == name })
}

// queue gives the id of a webhook that is declared or has a queue, or NotFound.
func (g *Gateway) queue(ctx context.Context, app *diaphone.App, name string) (diaphone.WebhookID, error) {
	id := diaphone.WebhookID{App: app.ID, Name: name}
	if declared(app, name) {
		return id, nil
	}
	queues, err := g.parts.Notices.Queues(ctx, app.ID)
	if err == nil && !slices.ContainsFunc(queues, func(q storage.NoticeQueue) bool { return q.Webhook == id }) {
		err = noWebhook(app, name)
	}
	return id, err
}

func noWebhook(app *diaphone.App, name string) error {
	err := diaphone.Errorf(diaphone.NotFound, "app %q has no webhook %q", app.ID, name[:min(len(name), 64)])
	err.Hint = "webhooks are declared in the apps file"
	return err
}

// DeadLetters gives a page of what a webhook could not be told, oldest first.
func (g *Gateway) DeadLetters(ctx context.Context, app *diaphone.App, name string, page storage.Page) ([]storage.DeadLetter, string, error) {
	id, err := g.queue(ctx, app, name)
	if err != nil {
		return nil, "", err
	}
	return g.parts.Notices.DeadLetters(ctx, id, page)
}

// Resend puts dead letters at the end of the webhook's queue again: those with the
// sequence numbers, or (nil) all, at most storage.MaxPage of them. more: call
// again. A webhook that is not declared any more is NotFound: nobody would send.
func (g *Gateway) Resend(ctx context.Context, app *diaphone.App, name string, seqs []uint64) (resent int, more bool, err error) {
	if !declared(app, name) {
		return 0, false, noWebhook(app, name)
	}
	if err := someOf(seqs); err != nil {
		return 0, false, err
	}
	id := diaphone.WebhookID{App: app.ID, Name: name}
	resent, more, err = g.parts.Notices.Revive(ctx, id, seqs, time.Now())
	if resent > 0 && g.parts.WakeWebhook != nil {
		g.parts.WakeWebhook(id)
	}
	return resent, more, err
}

// Discard forgets dead letters, chosen as Resend does.
func (g *Gateway) Discard(ctx context.Context, app *diaphone.App, name string, seqs []uint64) (discarded int, more bool, err error) {
	id, err := g.queue(ctx, app, name)
	if err := cmp.Or(err, someOf(seqs)); err != nil {
		return 0, false, err
	}
	return g.parts.Notices.Discard(ctx, id, seqs)
}

// someOf refuses a list of numbers that is there but cannot be meant.
func someOf(seqs []uint64) error {
	if seqs == nil {
		return nil
	}
	if len(seqs) == 0 || len(seqs) > storage.MaxPage {
		return diaphone.InvalidField("/sequences", "out_of_range", "give 1 to %d sequence numbers, or leave them out for all", storage.MaxPage)
	}
	if slices.Contains(seqs, 0) {
		return diaphone.InvalidField("/sequences", "out_of_range", "sequence numbers begin with 1")
	}
	return nil
}
