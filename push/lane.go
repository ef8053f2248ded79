package push

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/storage"
)

// lane owns everything that shares one credential's fate: its rate, its pause,
// its attempts in flight. One goroutine owns it, so all of this is plain memory
// and the lane's limit is the whole process's limit.
type lane struct {
	id       diaphone.Lane
	engine   *Engine
	provider providers.Provider // nil: the credential is not declared any more
	slots    int                // how many attempts may be in flight
	appetite int                // how many deliveries to hold claimed

	wake    chan struct{}
	ended   chan attempted
	settled chan settlement

	// All below belongs to run.
	pacer    pacer
	pause    pause
	work     worklist
	flying   int         // attempts under way, and results not yet durable: the bound on duplicates after a crash
	results  []attempted // to be settled
	settling bool        // a settlement is under way
	settleAt time.Time   // not before, after one that failed
	claimAt  time.Time   // when to ask the store again although nobody knocked
	full     bool        // the last claim came back full: the store may hold more
}

func newLane(e *Engine, id diaphone.Lane, c diaphone.Credential) *lane {
	slots := c.Slots()
	appetite := slots
	if c.Rate > 0 {
		// Holding more than a second's worth would only make it stale.
		appetite = min(slots, max(1, int(c.Rate)))
	}
	l := &lane{
		id: id, engine: e, provider: e.Providers[id], slots: slots, appetite: appetite,
		wake:    make(chan struct{}, 1),
		ended:   make(chan attempted, slots),
		settled: make(chan settlement, 1),
		pacer:   newPacer(c.Rate),
	}
	if l.provider == nil {
		l.pause.forGood()
	}
	return l
}

// run claims, launches and settles until ctx ends, then finishes what is under
// way. attempts is the context of attempts: it outlives ctx.
func (l *lane) run(ctx, attempts context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop := ctx.Done()
	for {
		now := time.Now()
		wait := tick
		if stop != nil {
			l.refill(ctx, now)
			wait = l.launch(attempts, now)
		}
		wait = min(wait, l.settle(attempts, now))
		l.engine.Metrics.flying(l.id, l.flying)
		if stop == nil && l.flying == 0 {
			l.release(attempts)
			return
		}
		timer.Reset(wait)
		select {
		case <-stop:
			stop = nil
		case <-l.wake:
			l.claimAt = now
		case a := <-l.ended:
			l.collect(a)
		case s := <-l.settled:
			l.finish(s)
			if s.err != nil && attempts.Err() != nil {
				return // in a hurry, and the store does not answer: what is not recorded is made again
			}
		case <-timer.C:
		}
	}
}

// refill claims batches while the lane has an appetite. When it holds enough
// for now it still asks for urgent ones, so that none waits behind a broadcast.
func (l *lane) refill(ctx context.Context, now time.Time) {
	hungry := l.work.len() <= l.appetite/2
	if now.Before(l.claimAt) && (!hungry || !l.full) {
		return
	}
	c := storage.Claim{Lane: l.id, Now: now, N: l.appetite - l.work.len(), Lease: lease}
	if !hungry {
		c.N, c.UrgentOnly = l.appetite-l.work.urgentItems, true
	}
	l.claimAt = now.Add(tick)
	if c.N <= 0 {
		return
	}
	batches, next, err := l.engine.Outbox.Claim(ctx, c)
	if err != nil {
		l.engine.troubled(ctx, "claim deliveries", err)
		l.claimAt = now.Add(time.Second)
		return
	}
	got := 0
	for i := range batches {
		got += len(batches[i].Items)
		l.work.add(&batches[i], now.Add(lease))
	}
	l.full = got >= c.N || c.UrgentOnly && l.full
	if !next.IsZero() && next.Before(l.claimAt) {
		l.claimAt = next
	}
}

// launch starts attempts while slots, pause and rate allow, and says how long
// to wait before looking again.
func (l *lane) launch(attempts context.Context, now time.Time) (wait time.Duration) {
	for l.flying < l.slots {
		h, item, ok := l.work.peek(now)
		if !ok {
			break
		}
		if !h.batch.Message.Expires.After(now) {
			l.take()
			l.collect(attempted{held: h, result: ended(item, diaphone.Expired, "expired")})
			continue
		}
		wait := l.pause.wait(now, l.flying)
		if wait == 0 {
			wait = l.pacer.take(now)
		}
		if wait > 0 {
			return min(wait, l.claimAt.Sub(now))
		}
		l.take()
		go func() {
			a := l.attempt(attempts, h, item)
			a.booked = true
			l.ended <- a
		}()
	}
	if l.full && l.flying < l.slots {
		return 0 // ran dry although the store holds more
	}
	return l.claimAt.Sub(now)
}

func (l *lane) take() {
	l.work.pop()
	l.flying++
}

// release gives back what was claimed and not launched, so that another process
// need not wait for the lease.
func (l *lane) release(ctx context.Context) {
	var back []storage.Settlement
	for _, h := range l.work.drain() {
		back = append(back, storage.Settlement{Batch: h.batch, Release: true})
	}
	if len(back) == 0 {
		return
	}
	if _, err := l.engine.Outbox.Settle(ctx, back, time.Now()); err != nil {
		l.engine.Logger.Warn("could not give claimed deliveries back; they return when their lease ends", "lane", l.id, "error", err)
	}
}
