package push

import (
	"context"

	"github.com/diaphone-dev/diaphone"
)

// A message that is cancelled is marked in the store first: whatever is claimed or
// recorded from then on knows of it. What lanes hold already they give up when they are
// asked how much of it is in flight.

// recall asks a lane to give a message up.
type recall struct {
	message diaphone.MessageID
	aloft   chan int // with room for the answer
}

// Recall has the lanes of an app launch no more attempts of a message that the store
// has marked as cancelled, and tells how many are in flight: launched, and their
// outcome not yet durable. When two answers are the same, nothing of the message has
// been recorded between them but cancellations.
func (e *Engine) Recall(ctx context.Context, app diaphone.AppID, id diaphone.MessageID) (aloft int, err error) {
	for lane, l := range e.lanes {
		if lane.App != app {
			continue
		}
		r := recall{message: id, aloft: make(chan int, 1)}
		select {
		case l.recalls <- r:
		case <-l.stopped: // what it had is durable, or will be claimed again
			continue
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		select {
		case n := <-r.aloft:
			aloft += n
		case <-l.stopped:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return aloft, nil
}

// recall ends the deliveries of the message that the lane holds and has not launched.
func (l *lane) recall(r recall) {
	l.asked = append(l.asked, r)
	if l.aloft[r.message] > 0 {
		l.recalled[r.message] = true // one of them may yet ask to wait for a proof
	}
	for _, q := range l.work.queues() {
		for _, h := range q.held {
			if h.batch.Message.ID == r.message && h.until.After(l.turned) {
				l.work.leave(h)
				l.cancel(h)
			}
		}
	}
	end := func(s single) bool {
		mine := s.held.batch.Message.ID == r.message
		if mine && s.held.until.After(l.turned) {
			l.end(waiting{held: s.held, item: s.item}, diaphone.Cancelled, diaphone.ReasonCancelled)
		}
		return mine
	}
	for _, q := range l.work.queues() {
		q.again = deleteEach(q.again, end)
	}
	l.waiting.all = deleteEach(l.waiting.all, func(w waiting) bool { return end(single{w.held, w.item}) })
	l.claimAt = l.turned
}

// deleteEach is slices.DeleteFunc for a list whose front may be shared.
func deleteEach[T any](list []T, gone func(T) bool) (rest []T) {
	for _, v := range list {
		if !gone(v) {
			rest = append(rest, v)
		}
	}
	return rest
}

// cancel ends what has not been launched of a claimed batch.
func (l *lane) cancel(h *held) {
	for ; h.next < len(h.batch.Items); h.next++ {
		l.end(waiting{held: h, item: h.batch.Items[h.next]}, diaphone.Cancelled, diaphone.ReasonCancelled)
	}
}

// answer tells those who asked what is in flight. Never while a settlement is under way:
// it may be durable already, and what it records would be counted twice.
func (l *lane) answer() {
	if l.settling {
		return
	}
	for _, r := range l.asked {
		r.aloft <- l.aloft[r.message]
	}
	l.asked = nil
}

// landed takes an attempt out of those in flight.
func (l *lane) landed(a attempted) {
	if !a.launched {
		return
	}
	id := a.held.batch.Message.ID
	if l.aloft[id]--; l.aloft[id] <= 0 {
		delete(l.aloft, id)
		delete(l.recalled, id)
	}
}
