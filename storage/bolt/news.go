package bolt

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// news is what a transaction has to tell backends of.
type news struct {
	storage.Telling
	notices []storage.AddressedNotice
}

// writeNews is write for what backends are told of: the notices go in with it.
func (s *Store) writeNews(ctx context.Context, k kind, fn func(*txn) error) error {
	if s.options.Telling.Wants == nil {
		return s.write(ctx, k, fn)
	}
	var put map[diaphone.WebhookID]*appended
	err := s.write(ctx, k, func(t *txn) error {
		t.news = &news{Telling: s.options.Telling}
		defer func() { t.news = nil }() // the next of the group has its own
		err := fn(t)
		switch {
		case err != nil || len(t.news.notices) == 0:
		case t.full != nil: // the reserve is for the outcomes themselves
			put = dropped(t.news.notices)
		default:
			put, err = t.append(t.news.notices, t.news.MaxPending)
		}
		return err
	})
	if err != nil {
		return err
	}
	for id, n := range put {
		s.options.Telling.Told(id, n.count, n.dropped)
	}
	return nil
}

// dropped is what an append has done that puts nothing in.
func dropped(notices []storage.AddressedNotice) map[diaphone.WebhookID]*appended {
	queues := map[diaphone.WebhookID]*appended{}
	for _, n := range notices {
		for _, id := range n.Webhooks {
			if queues[id] == nil {
				queues[id] = &appended{}
			}
			queues[id].dropped++
		}
	}
	return queues
}

// wants tells whether anybody is to hear of a kind.
func (t *txn) wants(app diaphone.AppID, kind diaphone.NoticeKind) bool {
	return t.news != nil && t.news.Wants(app, kind)
}

// tellFinished notes what backends are told of a message that has just finished. What
// damage has taken of it cannot be told.
func (t *txn) tellFinished(of message, p *progress) error {
	users := t.wants(of.app, diaphone.UserUnreachable)
	if !users && !t.wants(of.app, diaphone.MessageFinished) {
		return nil
	}
	f := storage.Finished{Counts: p.counts, FinishedAt: fromMillis(p.finished), CancelledAt: fromMillis(p.cancelled)}
	f.App, f.ID = of.ref()
	var err error
	if f.Receipts, err = t.receiptCounts(of); err != nil && !isDamage(err) {
		return err
	}
	if users && p.cancelled == 0 && p.counts.Accepted <= storage.MaxUnreached {
		m, ok, err := t.message(of)
		if err != nil && !isDamage(err) {
			return err
		}
		if err == nil && ok && m.Notification != nil {
			f.Event, f.Unreached = m.Event != nil, t.unreached(of, p, &m.To)
		}
	}
	t.news.notices = append(t.news.notices, t.news.Finished(f)...)
	return nil
}

// noDevices is the reason of a user who had nothing that could be reached.
const noDevices = "no_devices"

// unreached gives the users among an audience whom nothing has reached.
func (t *txn) unreached(of message, p *progress, to *diaphone.Audience) (all []storage.Unreached) {
	got := p.counts.Delivered + p.counts.Suppressed
	if len(to.Users) == 0 || got > 0 && len(to.Users) == 1 && len(to.Devices)+len(to.Channels) == 0 {
		return nil
	}
	reasons := make(map[diaphone.UserID]string, len(to.Users)) // empty: reached
	for _, u := range to.Users {
		reasons[u] = noDevices
	}
	lost := false // a device that got it is gone, or is nobody's of them any more
	for page := range p.pages {
		r, ok, err := t.roster(of, page)
		if err != nil || !ok {
			return nil // damaged: nobody knows
		}
		for _, d := range t.reports(of, page, r, 0, len(r.entries)) {
			reached := d.State == diaphone.Delivered || d.State == diaphone.Suppressed
			device, ok, err := t.deviceByID(of.app, d.Device)
			if err != nil || !ok || !slices.Contains(to.Users, device.User) {
				lost = lost || reached
				continue
			}
			if reasons[device.User] == "" {
				continue
			}
			reasons[device.User] = cmp.Or(d.Reason, string(d.State))
			if reached {
				reasons[device.User] = ""
			}
		}
	}
	for _, u := range to.Users {
		if reason := reasons[u]; reason != "" && (!lost || reason != noDevices) {
			all = append(all, storage.Unreached{User: u, Reason: reason})
			delete(reasons, u) // who is named twice is told once
		}
	}
	return all
}

// tellDead notes what backends are told of a token that was given up.
func (t *txn) tellDead(d *device, token diaphone.Token, reason string, now time.Time) {
	if t.wants(d.App, diaphone.TokenDead) {
		t.news.notices = append(t.news.notices, t.news.Dead(storage.DeadToken{
			App: d.App, Device: d.ID, User: d.User, Token: token, Reason: reason, At: now,
		})...)
	}
}

// appended is what an append has done to one queue.
type appended struct {
	tally
	count   int // notices put in
	dropped int // and not, for there were too many
}

// append puts notices at the ends of queues, of each at most so many that wait (0: any
// number).
func (t *txn) append(notices []storage.AddressedNotice, most int64) (map[diaphone.WebhookID]*appended, error) {
	queues := map[diaphone.WebhookID]*appended{}
	for _, n := range notices { // read all before the first write
		for _, id := range n.Webhooks {
			if queues[id] != nil {
				continue
			}
			q, err := t.tally(queueKey(id))
			if err != nil {
				return nil, err
			}
			queues[id] = &appended{tally: q}
		}
	}
	for i := range notices {
		n := &notices[i].Notice
		body := noticeRecord(n, n.At)
		for _, id := range notices[i].Webhooks {
			q := queues[id]
			if most > 0 && q.pending >= most {
				q.dropped++
				continue
			}
			q.count++
			if err := t.enqueue(queueKey(id), &q.tally, bytes.Clone(body)); err != nil {
				return nil, err
			}
		}
	}
	for id, q := range queues {
		if err := t.putTally(queueKey(id), q.tally); err != nil {
			return nil, err
		}
	}
	return queues, nil
}
