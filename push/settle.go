package push

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// settlement is the store's answer to one Settle.
type settlement struct {
	results []attempted
	answer  storage.Settled
	err     error
	at      time.Time
}

// settle records what has ended, all in one transaction, while the lane goes
// on. One settlement is under way at a time: what ends meanwhile makes up the
// next, so that they grow with the load. It says how long to wait when the
// store has failed.
func (l *lane) settle(ctx context.Context, now time.Time) (wait time.Duration) {
	if l.settling || len(l.results) == 0 {
		return tick
	}
	if wait := l.settleAt.Sub(now); wait > 0 && ctx.Err() == nil {
		return wait
	}
	settlements, results, rest := byBatch(l.results)
	l.results, l.settling = rest, true
	go func() {
		answer, err := l.engine.Outbox.Settle(context.WithoutCancel(ctx), settlements, now)
		l.settled <- settlement{results: results, answer: answer, err: err, at: now}
	}()
	return tick
}

// byBatch groups results as Settle wants them. A batch that was lost and claimed
// again may be there twice, under two fences; the second waits for its turn.
func byBatch(all []attempted) (settlements []storage.Settlement, now, later []attempted) {
	place := make(map[string]int)
	for _, a := range all {
		b := a.held.batch
		i, known := place[b.Key]
		if !known {
			i = len(settlements)
			place[b.Key] = i
			settlements = append(settlements, storage.Settlement{Batch: b})
		}
		if settlements[i].Batch != b {
			later = append(later, a)
			continue
		}
		settlements[i].Results = append(settlements[i].Results, a.result)
		now = append(now, a)
	}
	return settlements, now, later
}

// finish takes in the answer of a settlement. Only now are the slots free: an
// attempt counts as in flight until its outcome is durable.
func (l *lane) finish(s settlement) {
	l.settling = false
	if s.err != nil {
		l.engine.Logger.Error("could not record outcomes; trying again", "lane", l.id, "deliveries", len(s.results), "error", s.err)
		l.results = append(s.results, l.results...)
		l.settleAt, l.adrift = time.Now().Add(time.Second), true
		return
	}
	l.flying -= len(s.results)
	lost := make(map[string]bool)
	for _, key := range s.answer.Fenced {
		lost[key] = true
	}
	if len(lost) > 0 {
		l.engine.Logger.Warn("leases were lost before their outcomes were recorded; those deliveries are made again", "lane", l.id, "batches", len(lost))
	}
	var told diaphone.MessageID
	for _, a := range s.results {
		if id := a.held.batch.Message.ID; id != told { // those of one message are mostly together
			l.engine.Changed(l.id.App, id)
			told = id
		}
		l.landed(a)
		if lost[a.held.batch.Key] {
			a.held.until = time.Time{}
			continue
		}
		a.held.until = s.at.Add(lease)
		if a.result.State != diaphone.Pending {
			l.engine.Metrics.ended(l.id, a.result.State, s.at.Sub(a.held.batch.Message.Begins()))
		} else if a.result.RetryAt.Before(l.claimAt) {
			l.claimAt = a.result.RetryAt
		}
	}
	l.engine.Metrics.forgotten.Add(float64(s.answer.Forgotten))
}
