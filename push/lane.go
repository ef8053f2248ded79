package push

import (
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/storage"
)

// lane owns everything that shares one credential's fate: its rate, its pause,
// its attempts in flight. One goroutine owns it, so all of this is plain memory
// and the lane's limit is the whole process's limit.
type lane struct {
	id        diaphone.Lane
	engine    *Engine
	provider  providers.Provider // nil: the credential is not declared any more
	elsewhere *elsewhere
	foreign   bool // users say where its tokens lead, and so what is answered
	appetite  int  // how many deliveries to hold claimed

	wake    chan struct{}
	ended   chan attempted
	settled chan settlement
	recalls chan recall
	looks   chan chan LaneState
	stopped chan struct{} // run has returned

	// All below belongs to run.
	pacer    pacer
	quiet    quiet // devices to be left alone
	pause    pause
	window   window // how many attempts may be in flight
	dead     guard
	wrong    guard
	work     worklist
	waiting  waitingRoom                 // neither in work nor in flight
	flying   int                         // attempts under way, and results not yet durable: the bound on duplicates after a crash
	results  []attempted                 // to be settled
	settling bool                        // a settlement is under way
	settleAt time.Time                   // not before, after one that failed
	claimAt  time.Time                   // when to ask the store again although nobody knocked
	more     bool                        // the store may hold work that is due and was not taken
	adrift   bool                        // leases may have run out: claim nothing before all in flight is recorded
	turned   time.Time                   // when run last looked at the clock
	aloft    map[diaphone.MessageID]int  // attempts under way, and their results not yet durable
	recalled map[diaphone.MessageID]bool // of them, those that have been cancelled
	asked    []recall                    // to be answered between settlements
}

func newLane(e *Engine, id diaphone.Lane, c diaphone.Credential) *lane {
	slots := c.Slots()
	appetite := slots
	if c.Rate > 0 {
		// Holding more than a second's worth would only make it stale.
		appetite = min(slots, max(1, int(c.Rate)))
	}
	l := &lane{
		id: id, engine: e, provider: e.Providers[id], foreign: c.Provider == diaphone.WebPush, appetite: appetite, window: newWindow(slots),
		wake:    make(chan struct{}, 1),
		ended:   make(chan attempted, slots),
		settled: make(chan settlement, 1),
		recalls: make(chan recall), looks: make(chan chan LaneState), stopped: make(chan struct{}),
		aloft: make(map[diaphone.MessageID]int), recalled: make(map[diaphone.MessageID]bool),
		pacer: newPacer(c.Rate), quiet: make(quiet),
	}
	if l.provider == nil {
		e.Metrics.pausing(id, true)
	}
	return l
}

// run claims, launches and settles until ctx ends, then finishes what is under
// way. attempts is the context of attempts: it outlives ctx, and its end means
// hurry.
func (l *lane) run(ctx, attempts context.Context) {
	defer close(l.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop := ctx.Done()
	for l.turned = time.Now(); ; {
		now := l.clock()
		wait := tick
		l.answer()
		if stop != nil {
			l.refill(ctx, now)
			wait = l.ask(now)
			wait = min(wait, l.launch(attempts, now))
		}
		wait = min(wait, l.settle(attempts, now))
		l.engine.Metrics.flying(l.id, l.flying)
		if stop == nil && l.flying == 0 {
			l.release(now)
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
		case r := <-l.recalls:
			l.recall(r)
		case answer := <-l.looks:
			answer <- l.state(time.Now())
		case s := <-l.settled:
			l.finish(s)
			if s.err != nil && attempts.Err() != nil {
				l.abandon()
				return
			}
		case <-timer.C:
		}
	}
}

// clock looks at the time. A process that was frozen for long (a suspended
// machine, a debugger) finds its leases gone: claiming at once would give it its
// own batches a second time.
func (l *lane) clock() time.Time {
	now := time.Now()
	if now.Sub(l.turned) > lease/2 {
		l.adrift = true
	}
	l.turned = now
	return now
}

// refill claims batches while the lane has an appetite. When it holds enough
// for now it still asks for urgent ones, so that none waits behind a broadcast.
func (l *lane) refill(ctx context.Context, now time.Time) {
	if l.adrift {
		l.claimAt = now.Add(tick)
		if l.flying > 0 {
			return
		}
		l.adrift, l.claimAt = false, now
	}
	hungry := l.work.len() <= l.appetite/2
	if now.Before(l.claimAt) && (!hungry || !l.more) {
		return
	}
	c := storage.Claim{Lane: l.id, Now: now, N: l.appetite - l.work.len(), Lease: lease}
	if !hungry {
		c.N, c.UrgentOnly = l.appetite-l.work.urgent.items, true
	}
	l.claimAt, l.more = now.Add(tick), true
	if c.N <= 0 {
		return
	}
	batches, next, err := l.engine.Outbox.Claim(ctx, c)
	if err != nil {
		l.engine.troubled(ctx, "claim deliveries", err)
		l.claimAt, l.more = now.Add(time.Second), false
		return
	}
	got := 0
	for i := range batches {
		got += len(batches[i].Items)
		if batches[i].Cancelled {
			l.cancel(&held{batch: &batches[i], until: now.Add(lease)})
			continue
		}
		l.work.add(&batches[i], now.Add(lease))
	}
	l.more = c.UrgentOnly || got >= c.N
	if !next.IsZero() && next.Before(l.claimAt) && !l.more {
		l.claimAt = now.Add(next.Sub(now)) // of our clock, which nobody sets
	}
}

// launch starts attempts while slots, pause and rate allow, and says how long
// to wait before looking again.
func (l *lane) launch(attempts context.Context, now time.Time) (wait time.Duration) {
	for _, a := range l.work.expired(now) {
		l.flying++
		l.results = append(l.results, a)
	}
	room := l.flying < l.window.open
	for ; room; room = l.flying < l.window.open {
		h, item, ok := l.work.peek(now)
		if !ok {
			break
		}
		if l.flying >= l.window.room(h.batch.Urgent) {
			room = false
			break
		}
		if l.putOff(h, item, now) {
			continue
		}
		if wait := l.held(now); wait > 0 {
			return min(wait, l.claimAt.Sub(now))
		}
		l.work.pop()
		l.flying++
		l.aloft[h.batch.Message.ID]++
		at := time.Now()
		go func() {
			lag := time.Since(at)
			a := l.attempt(attempts, h, item)
			a.launched, a.lag = true, lag
			l.ended <- a
		}()
	}
	if l.more && !l.adrift && room {
		return 0 // ran dry although the store may hold more
	}
	return l.claimAt.Sub(now)
}

// held says how long the next attempt has to wait, and books it when that is
// not at all.
func (l *lane) held(now time.Time) time.Duration {
	if l.provider == nil {
		return tick // until the credential is declared again, or the deliveries expire
	}
	if wait := l.pause.wait(now, l.flying); wait > 0 {
		return min(wait, tick)
	}
	return l.pacer.take(now)
}

// release gives back what was claimed and not launched, so that another process
// need not wait for the lease.
func (l *lane) release(now time.Time) {
	var back []storage.Settlement
	for _, h := range l.claimed() {
		if h.until.After(now) {
			back = append(back, storage.Settlement{Batch: h.batch, Release: true})
		}
	}
	if len(back) == 0 {
		return
	}
	if _, err := l.engine.Outbox.Settle(context.Background(), back, now); err != nil {
		l.engine.Logger.Warn("could not give claimed deliveries back; they return when their lease ends", "lane", l.id, "error", err)
	}
}

// claimed empties the worklist and the waiting room and gives the batches that were
// in them, each once.
func (l *lane) claimed() (all []*held) {
	all = l.work.drain()
	for _, w := range l.waiting.all {
		all = append(all, w.held)
	}
	l.waiting = waitingRoom{}
	there := make(map[*held]bool)
	return slices.DeleteFunc(all, func(h *held) bool {
		before := there[h]
		there[h] = true
		return before
	})
}

// abandon waits for the attempts that were cut short. The store does not record
// outcomes any more, so they are made again after the next start.
func (l *lane) abandon() {
	for l.flying > len(l.results) {
		l.collect(<-l.ended)
	}
	l.claimed()
}
