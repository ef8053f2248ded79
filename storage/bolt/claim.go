package bolt

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Claim implements storage.Outbox. It writes nothing: see leases.
func (s *Store) Claim(ctx context.Context, c storage.Claim) (batches []storage.Batch, next time.Time, err error) {
	// Nothing may be sent that could not be settled.
	if err := s.unavailable(); err != nil {
		return nil, time.Time{}, err
	}
	var broken []string
	s.leases.mu.Lock()
	unlock := sync.OnceFunc(s.leases.mu.Unlock)
	defer unlock()
	// The transaction begins under the lock: so what a settle has deleted before it
	// let go of its lease is gone here too.
	err = s.viewOnce(ctx, func(t *txn) error {
		p := picker{t: t, leases: s.leases, claim: c}
		p.pick(laneKey(c.Lane).raw(classUrgent))
		if !c.UrgentOnly {
			p.pick(laneKey(c.Lane).raw(classBulk))
		}
		unlock()
		next = p.next
		batches, broken = t.fill(p.picked)
		return nil
	})
	unlock()
	s.leases.drop(broken)
	return batches, next, err
}

// picked is a batch that has been leased, as the queue holds it.
type picked struct {
	key    []byte
	ticket ticket
	fence  uint64
	items  batch
}

// picker walks a lane's queue under the lock of the leases. It looks at the queue
// alone; messages and rosters are read after the lock is gone.
type picker struct {
	t      *txn
	leases *leases
	claim  storage.Claim
	picked []picked
	have   int // deliveries in picked
	next   time.Time
}

// soonest notes a time at which the lane has work again.
func (p *picker) soonest(at time.Time) {
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
	}
}

// pick leases what is due in one class of the lane.
func (p *picker) pick(queue key) {
	now := uint64(max(millis(p.claim.Now), 0))
	from := p.leases.start(queue, p.claim.Now)
	if f, ok := p.leases.fronts[string(queue)]; ok {
		p.soonest(f.until)
	}
	unbroken := true // all so far is leased
	var until time.Time
	p.t.scan(inQueue, queue, from, func(k, v []byte) bool {
		ticket, ok := parseTicket(k)
		if !ok {
			return true
		}
		if ticket.due > now {
			p.soonest(fromMillis(int64(ticket.due)))
			return false
		}
		leasedUntil, leased := p.leases.out(k, p.claim.Now)
		if !leased {
			if p.have >= p.claim.N {
				p.soonest(p.claim.Now)
				return false
			}
			if !p.take(k, v, ticket) {
				unbroken = false
				return true
			}
			leasedUntil = p.claim.Now.Add(p.claim.Lease)
		} else {
			p.soonest(leasedUntil)
		}
		if unbroken {
			if until.IsZero() || leasedUntil.Before(until) {
				until = leasedUntil
			}
			from = append(bytes.Clone(k), 0)
		}
		return true
	})
	p.leases.advance(queue, from, until)
}

func (p *picker) take(k, v []byte, of ticket) bool {
	r, err := open(inQueue, k, v)
	var items batch
	if err == nil {
		items, err = decodeBatch(r)
	}
	if err != nil {
		_ = p.t.bad(inQueue, k, v, err)
		return false
	}
	fence := p.leases.grant(k, p.claim.Now, p.claim.Lease)
	p.picked = append(p.picked, picked{key: bytes.Clone(k), ticket: of, fence: fence, items: items})
	p.have += len(items)
	return true
}

// fill reads what the picked batches refer to. A batch whose message or roster
// is damaged cannot be sent; it is reported, and its lease is given up.
func (t *txn) fill(picks []picked) (batches []storage.Batch, broken []string) {
	messages := map[message]*diaphone.Message{}
	cancelled := map[message]bool{}
	for _, p := range picks {
		of := p.ticket.message()
		m := messages[of]
		var err error
		if m == nil {
			var ok bool
			if m, ok, err = t.message(of); err == nil && !ok {
				err = errBad
			}
			messages[of] = m
			if progress, ok, damage := t.progress(of); damage == nil && ok {
				cancelled[of] = progress.cancelled != 0
			}
		}
		var page *roster
		if err == nil {
			page, err = t.rosterFor(of, p.ticket.page, p.items)
		}
		if err != nil {
			_ = t.bad(inQueue, p.key, t.bucket(inQueue).Get(p.key), err)
			broken = append(broken, string(p.key))
			continue
		}
		b := storage.Batch{
			Key: string(p.key), Fence: p.fence, Lane: p.ticket.lane, Message: m,
			Urgent: p.ticket.class == classUrgent, Cancelled: cancelled[of], Items: make([]storage.Item, len(p.items)),
		}
		for i, it := range p.items {
			e := &page.entries[it.index]
			b.Items[i] = storage.Item{Index: it.index, Device: e.device, Kind: e.kind, Tries: it.tries}
		}
		batches = append(batches, b)
	}
	return batches, broken
}

// rosterFor reads a roster that holds every item.
func (t *txn) rosterFor(of message, page uint32, items batch) (*roster, error) {
	r, ok, err := t.roster(of, page)
	if err != nil {
		return nil, err
	}
	if !ok || len(items) > 0 && int(items[len(items)-1].index) >= len(r.entries) {
		return nil, errBad
	}
	return r, nil
}
