package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// The schedule lists the messages that wait for their time. It is the key that says it
// all; that a message waits is also in its progress, and Start believes only that.

func scheduleKey(dueMillis int64, of message) key {
	return key(nil).uint64(uint64(max(dueMillis, 0))).raw(of.key()...)
}

// parseSchedule is the inverse of scheduleKey.
func parseSchedule(k []byte) (due time.Time, of message, ok bool) {
	if len(k) < 8 {
		return time.Time{}, message{}, false
	}
	app, id, ok := cutText(k[8:])
	if !ok || len(id) != len(of.id) {
		return time.Time{}, message{}, false
	}
	of.app = diaphone.AppID(app)
	copy(of.id[:], id)
	return fromMillis(int64(binary.BigEndian.Uint64(k))), of, true
}

// Due implements storage.Outbox.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (due []*diaphone.Message, next time.Time, err error) {
	err = s.view(ctx, func(t *txn) error {
		due, next = nil, time.Time{}
		var failure error
		t.scan(inSchedule, nil, nil, func(k, _ []byte) bool {
			at, of, ok := parseSchedule(k)
			if !ok {
				return true
			}
			if at.After(now) || len(due) >= limit {
				next = at
				return false
			}
			m, ok, err := t.message(of)
			if err != nil && !isDamage(err) {
				failure = err
				return false
			}
			if err != nil || !ok {
				m = &diaphone.Message{}
				m.App, m.ID = of.ref()
			}
			due = append(due, m)
			return true
		})
		return failure
	})
	return due, next, err
}

// Start implements storage.Outbox.
func (s *Store) Start(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, route storage.Route) (a storage.Accepted, began bool, err error) {
	of, err := messageOf(app, id)
	if err != nil {
		return storage.Accepted{}, false, err
	}
	var queued []key
	err = s.writeNews(ctx, moves, func(t *txn) (err error) {
		a, began, queued = storage.Accepted{}, false, nil
		p, m, err := t.unfinished(of)
		switch {
		case err != nil:
			return err
		case p == nil || m == nil || !p.scheduled:
			return t.abandonSchedule(of, p)
		}
		if err := t.unschedule(of, p); err != nil {
			return err
		}
		if p.order, err = t.nextOrder(); err != nil {
			return err
		}
		began, p.planned = true, m.Notification == nil
		a, queued, err = t.begin(m, of, p, route)
		return err
	})
	if err != nil {
		return storage.Accepted{}, false, err
	}
	s.leases.added(queued)
	if began {
		s.backlog.add(app, a.Counts.Pending, -1)
	}
	return a, began, nil
}

// unschedule ends the waiting of a message. The caller writes the progress.
func (t *txn) unschedule(of message, p *progress) error {
	p.scheduled = false
	return t.delete(inSchedule, scheduleKey(p.accepted, of))
}

// abandonSchedule ends the waiting of a message that is lost to damage, or that does not
// wait any more. NotFound: there is no such message.
func (t *txn) abandonSchedule(of message, p *progress) error {
	var listed []key
	t.scan(inSchedule, nil, nil, func(k, _ []byte) bool {
		if bytes.HasSuffix(k, of.key()) {
			listed = append(listed, bytes.Clone(k))
		}
		return true
	})
	if p == nil && len(listed) == 0 {
		_, id := of.ref()
		return noMessage(id)
	}
	for _, k := range listed {
		if err := t.delete(inSchedule, k); err != nil {
			return err
		}
	}
	if p == nil || !p.scheduled {
		return nil
	}
	p.scheduled, p.planned = false, true
	return t.putProgress(of, p, p.settleIfDone(p.accepted))
}
