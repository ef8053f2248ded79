package bolt

import (
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// retryGrain rounds the times of retries up, so that those of one broadcast share
// batches.
const retryGrain = 50 * time.Millisecond

// Settle implements storage.Outbox.
func (s *Store) Settle(ctx context.Context, settlements []storage.Settlement, now time.Time) (storage.Settled, error) {
	if err := distinct(settlements); err != nil {
		return storage.Settled{}, err
	}
	begun := make([]bool, len(settlements))
	left := make([]remainder, len(settlements))
	for i, one := range settlements {
		begun[i] = s.leases.begin(one.Batch.Key, one.Batch.Fence)
	}
	defer func() {
		for i, one := range settlements {
			if begun[i] {
				s.leases.end(one.Batch.Key, left[i], now)
			}
		}
	}()
	var work *settling
	err := s.writeNews(ctx, moves, func(t *txn) (err error) {
		work = &settling{t: t, now: stamp(now), messages: map[message]*progress{}, ended: map[diaphone.AppID]int64{}}
		return work.run(settlements, begun)
	})
	if err != nil {
		return storage.Settled{}, err
	}
	copy(left, work.left)
	s.leases.added(work.queued)
	for app, n := range work.ended {
		s.backlog.add(app, -n, 0)
	}
	return work.settled, nil
}

// distinct refuses the same batch twice, and the same delivery twice in one.
func distinct(settlements []storage.Settlement) error {
	batches := make(map[string]bool, len(settlements))
	for _, one := range settlements {
		if batches[one.Batch.Key] {
			return diaphone.Errorf(diaphone.Internal, "a batch is settled twice in one call")
		}
		batches[one.Batch.Key] = true
		indices := make(map[uint32]bool, len(one.Results))
		for _, r := range one.Results {
			if indices[r.Index] {
				return diaphone.Errorf(diaphone.Internal, "delivery %d of a batch has two results", r.Index)
			}
			if !slices.Contains(states(), string(r.State)) {
				return diaphone.Errorf(diaphone.Internal, "delivery %d of a batch has the state %q", r.Index, string(r.State))
			}
			indices[r.Index] = true
		}
	}
	return nil
}

// settling is one run of a Settle in a transaction.
type settling struct {
	t        *txn
	now      time.Time
	messages map[message]*progress // touched; nil: lost to damage
	settled  storage.Settled
	left     []remainder
	queued   []key
	ended    map[diaphone.AppID]int64 // deliveries
}

// part is one settlement whose batch has been found.
type part struct {
	storage.Settlement
	ticket ticket
	items  batch
}

func (w *settling) run(settlements []storage.Settlement, begun []bool) error {
	w.left = make([]remainder, len(settlements))
	parts := make([]*part, len(settlements))
	for i, one := range settlements { // read and check all before the first write
		p, err := w.find(one, begun[i])
		if err != nil {
			return err
		}
		if p == nil {
			w.settled.Fenced = append(w.settled.Fenced, one.Batch.Key)
			w.left[i] = gone
		}
		parts[i] = p
	}
	for i, p := range parts {
		if p == nil {
			continue
		}
		left, err := w.apply(p)
		if err != nil {
			return err
		}
		w.left[i] = left
	}
	return w.finish()
}

// find reads the batch of a settlement; nil: it is not this caller's any more.
func (w *settling) find(one storage.Settlement, begun bool) (*part, error) {
	k := key(one.Batch.Key)
	of, ok := parseTicket(k)
	if !begun || !ok {
		return nil, nil
	}
	r, ok, err := w.t.get(inQueue, k)
	if err != nil || !ok {
		if isDamage(err) {
			err = nil
		}
		return nil, err
	}
	items, err := decodeBatch(r)
	if err != nil {
		_ = w.t.bad(inQueue, k, w.t.bucket(inQueue).Get(k), err)
		return nil, nil
	}
	for _, result := range one.Results {
		if _, in := slices.BinarySearchFunc(items, result.Index, byIndex); !in {
			return nil, diaphone.Errorf(diaphone.Internal, "delivery %d is not in the batch that is settled", result.Index)
		}
	}
	return &part{one, of, items}, nil
}

func byIndex(i item, index uint32) int { return int(int64(i.index) - int64(index)) }

// apply writes one settlement: its history, its retries, its counts, its dead
// tokens, and what is left of its batch.
func (w *settling) apply(p *part) (remainder, error) {
	progress, err := w.progress(p.ticket.message())
	if err != nil {
		return asItWas, err
	}
	if progress != nil && progress.cancelled != 0 {
		p.Results = withoutRetries(p.Results)
	}
	if len(p.Results) > 0 {
		if err := w.t.putSteps(p.ticket.message(), p.ticket.page, p.Results); err != nil {
			return asItWas, err
		}
	}
	if progress != nil {
		for _, r := range p.Results {
			progress.counts.Pending--
			*progress.counts.Of(r.State)++
		}
	}
	if err := w.requeue(p); err != nil {
		return asItWas, err
	}
	for _, r := range p.Results {
		if r.State != diaphone.Pending {
			w.ended[p.ticket.lane.App]++
		}
		if err := w.tell(p.ticket.lane.App, &r); err != nil {
			return asItWas, err
		}
	}
	return w.shrink(p)
}

// tell writes what a result says of its token.
func (w *settling) tell(app diaphone.AppID, r *storage.Result) error {
	if r.Move != nil {
		if err := w.t.move(app, r.Move, w.now); err != nil {
			return err
		}
	}
	if r.Forget == nil {
		return nil
	}
	d, err := w.t.forget(app, r.Forget, w.now)
	if err == nil && d != nil {
		w.settled.Forgotten++
		w.t.tellDead(d, r.Forget.Token, r.Reason, w.now)
	}
	return err
}

// progress gives what finish will write; nil: it is lost to damage.
func (w *settling) progress(of message) (*progress, error) {
	p, seen := w.messages[of]
	if !seen {
		var err error
		if p, _, err = w.t.progress(of); err != nil && !isDamage(err) {
			return nil, err
		}
		w.messages[of] = p
	}
	return p, nil
}

// withoutRetries ends the deliveries of a cancelled message that were to be tried again.
func withoutRetries(results []storage.Result) []storage.Result {
	results = slices.Clone(results)
	for i := range results {
		if r := &results[i]; r.State == diaphone.Pending {
			r.State, r.Reason, r.RetryAt = diaphone.Cancelled, diaphone.ReasonCancelled, time.Time{}
		}
	}
	return results
}

// requeue makes batches of the deliveries to be tried again, by time.
func (w *settling) requeue(p *part) error {
	groups := map[int64]batch{}
	for _, r := range p.Results {
		if r.State == diaphone.Pending {
			due := retryDue(r.RetryAt)
			groups[due] = append(groups[due], item{r.Index, r.Tries})
		}
	}
	for due, items := range groups {
		slices.SortFunc(items, func(a, b item) int { return byIndex(a, b.index) })
		k := p.ticket
		k.due = uint64(due)
		put, err := w.t.putBatch(k, items)
		if err != nil {
			return err
		}
		w.queued = append(w.queued, put)
	}
	return nil
}

// retryDue rounds up to the grain.
func retryDue(at time.Time) int64 {
	grain := retryGrain.Milliseconds()
	return (max(millis(at), 0) + grain - 1) / grain * grain
}

// shrink writes what no result names back into the queue.
func (w *settling) shrink(p *part) (remainder, error) {
	k := key(p.Batch.Key)
	rest := p.items
	if len(p.Results) > 0 {
		named := make(map[uint32]bool, len(p.Results))
		for _, r := range p.Results {
			named[r.Index] = true
		}
		rest = slices.DeleteFunc(slices.Clone(p.items), func(i item) bool { return named[i.index] })
	}
	if len(rest) == 0 {
		return gone, w.t.delete(inQueue, k)
	}
	left := partOut
	if p.Release {
		left = released
	}
	if len(rest) == len(p.items) {
		return left, nil
	}
	return left, w.t.put(inQueue, k, rest.record())
}

// finish writes the progress of every message touched.
func (w *settling) finish() error {
	for of, p := range w.messages {
		if p == nil {
			continue
		}
		finished := p.settleIfDone(millis(w.now))
		if finished {
			ref := storage.Ref{}
			ref.App, ref.ID = of.ref()
			w.settled.Finished = append(w.settled.Finished, ref)
		}
		if err := w.t.putProgress(of, p, finished); err != nil {
			return err
		}
	}
	return nil
}

// forget marks a dead token as gone, if its device still holds it and has not
// registered it again since. Its index entry stays: whoever registers it next ends
// this device. It gives the device that it has changed.
func (t *txn) forget(app diaphone.AppID, f *storage.Forget, now time.Time) (of *device, err error) {
	d, i, err := t.held(app, f.Device, f.Token, f.Since)
	if err != nil || d == nil {
		return nil, err
	}
	d.Tokens[i].GoneAt, d.Tokens[i].GoneReason = stamp(f.Since), f.Reason
	d.UpdatedAt = now
	return d, t.putDevice(d)
}

// move records the environment of a token, on the same conditions.
func (t *txn) move(app diaphone.AppID, m *storage.Move, now time.Time) error {
	d, i, err := t.held(app, m.Device, m.Token, m.Since)
	if err != nil || d == nil {
		return err
	}
	d.Tokens[i].Environment, d.UpdatedAt = m.To, now
	return t.putDevice(d)
}

// held finds an active token that its device holds as it did at a time; nil: it does not.
func (t *txn) held(app diaphone.AppID, id diaphone.DeviceID, token diaphone.Token, since time.Time) (*device, int, error) {
	d, ok, err := t.deviceByID(app, id)
	if err != nil || !ok {
		return nil, 0, err
	}
	i := slices.IndexFunc(d.Tokens, func(have diaphone.Token) bool { return sameToken(have, token) })
	if i < 0 || !d.Tokens[i].Active() || millis(d.Tokens[i].RegisteredAt) > millis(since) {
		return nil, 0, nil
	}
	return d, i, nil
}
