package bolt

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Cancel implements storage.Outbox. It marks the message, whatever its size: the batches
// that wait in the queue are ended by whoever claims them, which a crash cannot undo.
func (s *Store) Cancel(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, now time.Time) (report storage.MessageReport, err error) {
	of, err := messageOf(app, id)
	if err != nil {
		return storage.MessageReport{}, err
	}
	unscheduled := int64(0)
	err = s.writeNews(ctx, moves, func(t *txn) error {
		unscheduled = 0
		m, p, err := t.known(of, id)
		if err != nil {
			return err
		}
		if p.finished == 0 && p.cancelled == 0 {
			if p.scheduled {
				unscheduled = 1
			}
			if err := t.cancel(of, p, max(millis(now), 1)); err != nil {
				return err
			}
		}
		report = p.report(m)
		return nil
	})
	if err == nil {
		s.backlog.add(app, 0, -unscheduled)
	}
	return report, err
}

func (t *txn) cancel(of message, p *progress, nowMillis int64) error {
	p.cancelled = nowMillis
	switch {
	case p.scheduled:
		if err := t.unschedule(of, p); err != nil {
			return err
		}
		p.unsent = true
	case !p.planned:
		if err := t.delete(inPlans, planKey(p.order)); err != nil {
			return err
		}
	}
	p.planned = true
	return t.putProgress(of, p, p.settleIfDone(nowMillis))
}
