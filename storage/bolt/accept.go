package bolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Accept implements storage.Outbox.
func (s *Store) Accept(ctx context.Context, m *diaphone.Message, idem storage.Idempotency, route storage.Route) (storage.Accepted, error) {
	of, err := messageOf(m.App, m.ID)
	if err != nil {
		return storage.Accepted{}, err
	}
	body, err := messageRecord(m)
	if err != nil {
		return storage.Accepted{}, err
	}
	var accepted storage.Accepted
	var queued []key
	err = s.writeNews(ctx, adds, func(t *txn) error {
		queued = nil
		earlier, used, err := t.replay(m.App, idem)
		if err != nil {
			return err
		}
		if used {
			accepted, err = t.replayed(earlier)
			return err
		}
		if t.bucket(inMessages).Get(of.key()) != nil {
			return diaphone.Errorf(diaphone.Conflict, "a message %q has been accepted before", m.ID)
		}
		accepted, queued, err = t.accept(m, of, body, idem, route)
		return err
	})
	if err != nil {
		return storage.Accepted{}, err
	}
	s.leases.added(queued)
	switch {
	case accepted.Replayed:
	case m.SendAt.IsZero():
		s.backlog.add(m.App, accepted.Counts.Pending, 0)
	default:
		s.backlog.add(m.App, 0, 1)
	}
	return accepted, nil
}

// Replayed implements storage.Outbox.
func (s *Store) Replayed(ctx context.Context, app diaphone.AppID, idem storage.Idempotency) (a storage.Accepted, ok bool, err error) {
	err = s.view(ctx, func(t *txn) error {
		earlier, used, err := t.replay(app, idem)
		if err != nil || !used {
			ok = false
			return err
		}
		ok = true
		a, err = t.replayed(earlier)
		return err
	})
	return a, ok, err
}

// accept stores a new message, and plans its first page or notes when it is due.
func (t *txn) accept(m *diaphone.Message, of message, body record, idem storage.Idempotency, route storage.Route) (storage.Accepted, []key, error) {
	order, err := t.nextOrder()
	if err != nil {
		return storage.Accepted{}, nil, err
	}
	p := &progress{order: order, accepted: millis(m.AcceptedAt), planned: m.Notification == nil}
	if !m.SendAt.IsZero() {
		p.accepted, p.planned, p.scheduled = millis(m.SendAt), false, true
	}
	if err := t.put(inMessages, of.key(), bytes.Clone(body)); err != nil {
		return storage.Accepted{}, nil, err
	}
	if idem.Key != "" {
		hash := sha256.Sum256([]byte(idem.Key))
		p.idem = hash[:]
		r := newRecord(48)
		r.raw(idem.Body[:])
		r.raw(of.id[:])
		if err := t.put(inIdem, idempotencyKey(m.App, hash), r); err != nil {
			return storage.Accepted{}, nil, err
		}
	}
	if p.scheduled {
		if err := t.put(inSchedule, scheduleKey(p.accepted, of), newRecord(0)); err != nil {
			return storage.Accepted{}, nil, err
		}
		return storage.Accepted{ID: m.ID}, nil, t.putProgress(of, p, false)
	}
	return t.begin(m, of, p, route)
}

// begin plans the first page of a message that is to go out.
func (t *txn) begin(m *diaphone.Message, of message, p *progress, route storage.Route) (a storage.Accepted, queued []key, err error) {
	var lanes []diaphone.Lane
	if !p.planned {
		if queued, lanes, err = t.planPage(m, of, p, route); err != nil {
			return storage.Accepted{}, nil, err
		}
	}
	if !p.planned {
		if err := t.putPlan(p.order, of); err != nil {
			return storage.Accepted{}, nil, err
		}
	}
	if err := t.putProgress(of, p, p.settleIfDone(p.accepted)); err != nil {
		return storage.Accepted{}, nil, err
	}
	return storage.Accepted{ID: m.ID, Planned: p.planned, Lanes: lanes, Counts: p.counts}, queued, nil
}

// replay looks for an earlier message with the same idempotency key.
func (t *txn) replay(app diaphone.AppID, idem storage.Idempotency) (earlier message, used bool, err error) {
	if idem.Key == "" {
		return message{}, false, nil
	}
	r, used, err := t.get(inIdem, idempotencyKey(app, sha256.Sum256([]byte(idem.Key))))
	if err != nil || !used {
		return message{}, false, err
	}
	body, earlier, err := decodeIdem(r, app)
	if err != nil {
		return message{}, false, fmt.Errorf("idempotency record: %w", err)
	}
	if !bytes.Equal(body, idem.Body[:]) {
		return message{}, false, diaphone.Errorf(diaphone.Conflict, "this idempotency key has been used with another body")
	}
	return earlier, true, nil
}

// decodeIdem gives the hash of the body that a key was used with, and the message.
func decodeIdem(r reader, app diaphone.AppID) (body []byte, earlier message, err error) {
	body = r.raw(sha256.Size)
	earlier.app = app
	copy(earlier.id[:], r.raw(len(earlier.id)))
	return body, earlier, r.end()
}

func (t *txn) replayed(earlier message) (storage.Accepted, error) {
	_, id := earlier.ref()
	a := storage.Accepted{ID: id, Replayed: true}
	p, ok, err := t.progress(earlier)
	if err != nil && !isDamage(err) {
		return storage.Accepted{}, err
	}
	if err == nil && ok {
		a.Planned, a.Counts = p.planned, p.counts
	}
	return a, nil
}

// planPage plans the next page of the message: its roster, its batches, its counts.
// The caller writes the progress.
func (t *txn) planPage(m *diaphone.Message, of message, p *progress, route storage.Route) (queued []key, lanes []diaphone.Lane, err error) {
	walk := newPlan(t, of, m, p, route)
	walk.page.from = position{p.source, p.after}
	if err := walk.readPage(p, t.page); err != nil {
		return nil, nil, err
	}
	if len(walk.page.entries) == 0 {
		return nil, nil, nil
	}
	if err := t.put(inRosters, of.page(p.pages), walk.page.record()); err != nil {
		return nil, nil, err
	}
	waiting := make([]batch, len(walk.page.lanes))
	for i, e := range walk.page.entries {
		p.counts.Accepted++
		if e.lane < 0 {
			p.counts.Failed++
			continue
		}
		p.counts.Pending++
		waiting[e.lane] = append(waiting[e.lane], item{index: uint32(i)})
	}
	for i, lane := range walk.page.lanes {
		k := ticket{lane: lane, class: classOf(m), due: uint64(max(p.accepted, 0)), id: of.id, page: p.pages}
		for len(waiting[i]) > 0 {
			n := min(len(waiting[i]), storage.MaxBatch)
			put, err := t.putBatch(k, waiting[i][:n])
			if err != nil {
				return nil, nil, err
			}
			queued = append(queued, put)
			waiting[i] = waiting[i][n:]
		}
	}
	p.pages++
	return queued, walk.page.lanes, nil
}

// classOf: one-to-one messages never wait behind a broadcast.
func classOf(m *diaphone.Message) byte {
	if len(m.To.Channels) > 0 {
		return classBulk
	}
	return classUrgent
}

func planKey(order uint64) key { return key(nil).uint64(order) }

func (t *txn) putPlan(order uint64, of message) error {
	r := newRecord(32)
	r.text(string(of.app))
	r.raw(of.id[:])
	return t.put(inPlans, planKey(order), r)
}

// decodePlan is the inverse of what putPlan writes.
func decodePlan(r reader) (message, error) {
	of := message{app: diaphone.AppID(r.text())}
	copy(of.id[:], r.raw(len(of.id)))
	return of, r.end()
}

// Plan implements storage.Outbox.
func (s *Store) Plan(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, route storage.Route) (done bool, lanes []diaphone.Lane, err error) {
	of, err := messageOf(app, id)
	if err != nil {
		return false, nil, err
	}
	var queued []key
	var more int64
	err = s.writeNews(ctx, moves, func(t *txn) (err error) {
		done, lanes, queued, more = false, nil, nil, 0
		p, m, err := t.unfinished(of)
		if err != nil {
			return err
		}
		if p == nil || m == nil {
			done = true
			return t.abandonPlan(of, p)
		}
		if p.planned || p.scheduled {
			done = true
			return nil
		}
		more = -p.counts.Pending
		if queued, lanes, err = t.planPage(m, of, p, route); err != nil {
			return err
		}
		more += p.counts.Pending
		if done = p.planned; done {
			if err := t.delete(inPlans, planKey(p.order)); err != nil {
				return err
			}
		}
		return t.putProgress(of, p, p.settleIfDone(millis(time.Now())))
	})
	if err != nil {
		return false, nil, err
	}
	s.leases.added(queued)
	s.backlog.add(app, more, 0)
	return done, lanes, nil
}

// unfinished reads what planning needs. What is damaged comes as nil.
func (t *txn) unfinished(of message) (*progress, *diaphone.Message, error) {
	p, _, err := t.progress(of)
	if err != nil && !isDamage(err) {
		return nil, nil, err
	}
	m, _, err := t.message(of)
	if err != nil && !isDamage(err) {
		return nil, nil, err
	}
	return p, m, nil
}

// abandonPlan ends the planning of a message that is lost to damage, so that it is
// not tried for ever. NotFound: there is no such plan.
func (t *txn) abandonPlan(of message, p *progress) error {
	found := false
	var plans []key
	t.scan(inPlans, nil, nil, func(k, v []byte) bool {
		if bytes.Contains(v, of.id[:]) {
			plans = append(plans, bytes.Clone(k))
		}
		return true
	})
	for _, k := range plans {
		found = true
		if err := t.delete(inPlans, k); err != nil {
			return err
		}
	}
	_, id := of.ref()
	if !found {
		return noMessage(id)
	}
	if p == nil {
		return nil
	}
	p.planned = true
	return t.putProgress(of, p, p.settleIfDone(millis(time.Now())))
}

// Unplanned implements storage.Outbox.
func (s *Store) Unplanned(ctx context.Context, limit int) ([]storage.Ref, error) {
	var refs []storage.Ref
	err := s.view(ctx, func(t *txn) error {
		refs = nil
		t.scan(inPlans, nil, nil, func(k, v []byte) bool {
			if len(refs) >= limit {
				return false
			}
			of, ok := readAs(t, inPlans, k, v, decodePlan)
			if !ok {
				return true
			}
			ref := storage.Ref{}
			ref.App, ref.ID = of.ref()
			refs = append(refs, ref)
			return true
		})
		return nil
	})
	return refs, err
}
