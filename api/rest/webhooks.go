package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/storage"
)

// MaxChosenBody is the limit of a body that names dead letters, in bytes.
const MaxChosenBody = 32 << 10

func (d *Door) listWebhooks(c *call) error {
	found, err := d.gateway.Webhooks(c.ctx(), c.app)
	if err != nil {
		return err
	}
	out := wire.Page[wire.Webhook]{Data: make([]wire.Webhook, len(found))}
	for i := range found {
		out.Data[i] = webhookOut(&found[i])
	}
	return c.reply(http.StatusOK, out)
}

func (d *Door) deadLetters(c *call) error {
	name, err := c.param("webhook")
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	found, next, err := d.gateway.DeadLetters(c.ctx(), c.app, name, p)
	if err != nil {
		return err
	}
	out := wire.Page[wire.DeadLetter]{Data: make([]wire.DeadLetter, len(found)), NextCursor: next}
	for i := range found {
		out.Data[i] = deadLetterOut(&found[i])
	}
	c.linkNext(next)
	return c.reply(http.StatusOK, out)
}

func (d *Door) resendDeadLetters(c *call) error {
	name, err := c.param("webhook")
	if err != nil {
		return err
	}
	chosen := wire.Chosen{}
	if strict.HasBody(c.Request()) {
		body, err := readBody(c, MaxChosenBody)
		if err != nil {
			return err
		}
		if chosen, err = decode[wire.Chosen](body); err != nil {
			return err
		}
	}
	n, more, err := d.gateway.Resend(c.ctx(), c.app, name, chosen.Sequences)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.Handled{Count: n, More: more})
}

// discardDeadLetters takes the numbers from the query: a body of DELETE may be
// dropped on its way (RFC 9110 §9.3.5), and then all would be forgotten.
func (d *Door) discardDeadLetters(c *call) error {
	name, err := c.param("webhook")
	if err != nil {
		return err
	}
	var seqs []uint64
	if c.query.Has("sequences") {
		for text := range strings.SplitSeq(c.query.Get("sequences"), ",") {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return diaphone.InvalidField("/sequences", "malformed", "sequences are whole numbers joined by commas, such as 7,8,12")
			}
			seqs = append(seqs, n)
		}
	}
	n, more, err := d.gateway.Discard(c.ctx(), c.app, name, seqs)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.Handled{Count: n, More: more})
}

func webhookOut(r *gateway.WebhookReport) wire.Webhook {
	return wire.Webhook{
		Name: r.Webhook.Name, Declared: r.Declared, Format: r.Webhook.Form, Host: hostOf(r.Webhook.URL),
		Events:          append([]diaphone.NoticeKind{}, r.Kinds...), // never null
		ChannelPrefixes: append([]string{}, r.Webhook.Prefixes...),
		Pending:         r.Queue.Pending, DeadLetters: r.Queue.Dead, LastSequence: r.Queue.Last,
		OldestPendingAt: wire.At(r.Queue.Oldest),
		FailingSince:    wire.At(r.State.FailingSince), NextAttemptAt: wire.At(r.State.NextAttempt),
		LastStatus: r.State.LastStatus, LastError: r.State.LastError,
	}
}

// hostOf is what may be shown of a webhook's address: path and query often hold a
// secret.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func deadLetterOut(l *storage.DeadLetter) wire.DeadLetter {
	n := &l.Notice
	return wire.DeadLetter{
		Sequence: l.Seq, ID: n.ID, HappenedAt: wire.At(n.At), BuriedAt: wire.At(l.Buried), Reason: l.Reason,
		Name: n.Kind, Channel: n.Channel, UserID: n.User, SocketID: n.Socket, Event: n.Event, Data: n.Data,
		SubscriptionCount: n.Count,
	}
}
