package push

import (
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// held is a claimed batch of which some deliveries may not have been launched.
type held struct {
	batch *storage.Batch
	next  int       // index into batch.Items of the next to launch
	until time.Time // the lease; nothing is launched after it
}

// single is one delivery of a batch.
type single struct {
	held *held
	item storage.Item
}

// worklist is what a lane has claimed and not launched: urgent first. It belongs to
// the lane's goroutine.
type worklist struct {
	urgent, bulk queue
	head         *queue    // that peek has looked at
	soonest      time.Time // no delivery expires before it
}

// queue is the part of one class, in the order claimed.
type queue struct {
	again []single // come out of the waiting room, and go first
	held  []*held
	items int // of held
}

func (w *worklist) len() int { return w.urgent.items + w.bulk.items }

func (w *worklist) queues() [2]*queue { return [2]*queue{&w.urgent, &w.bulk} }

func (w *worklist) of(b *storage.Batch) *queue {
	if b.Urgent {
		return &w.urgent
	}
	return &w.bulk
}

func (w *worklist) add(b *storage.Batch, until time.Time) {
	w.soonest = earlier(w.soonest, b.Message.Expires)
	q := w.of(b)
	q.held, q.items = append(q.held, &held{batch: b, until: until}), q.items+len(b.Items)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// resume takes a delivery that has come out of the waiting room.
func (w *worklist) resume(s single) {
	q := w.of(s.held.batch)
	q.again = append(q.again, s)
	w.soonest = earlier(w.soonest, s.held.batch.Message.Expires)
}

// peek gives the next delivery. Batches whose lease has run out are dropped:
// they are back in the queue and would be sent twice.
func (w *worklist) peek(now time.Time) (h *held, item storage.Item, ok bool) {
	for _, w.head = range w.queues() {
		if h, item, ok = w.head.peek(now); ok {
			break
		}
	}
	return h, item, ok
}

func (q *queue) peek(now time.Time) (h *held, item storage.Item, ok bool) {
	for ; len(q.again) > 0; q.again = q.again[1:] {
		if s := q.again[0]; s.held.until.After(now) {
			return s.held, s.item, true
		}
	}
	for ; len(q.held) > 0; q.held = q.held[1:] {
		h = q.held[0]
		if h.until.After(now) && h.next < len(h.batch.Items) {
			return h, h.batch.Items[h.next], true
		}
		q.items -= len(h.batch.Items) - h.next
	}
	return nil, storage.Item{}, false
}

// pop takes what peek gave.
func (w *worklist) pop() {
	q := w.head
	if len(q.again) > 0 {
		q.again = q.again[1:]
		return
	}
	q.held[0].next++
	q.items--
}

// expired takes the deliveries that may not be sent any more out of the list,
// wherever they stand in it.
func (w *worklist) expired(now time.Time) (found []attempted) {
	if now.Before(w.soonest) {
		return nil
	}
	w.soonest = now.Add(tick)
	for _, q := range w.queues() {
		q.again = deleteEach(q.again, func(s single) bool {
			expires := s.held.batch.Message.Expires
			if expires.After(now) {
				w.soonest = earlier(w.soonest, expires)
				return false
			}
			if s.held.until.After(now) { // else it is back in the queue
				found = append(found, attempted{held: s.held, result: ended(s.item, diaphone.Expired, diaphone.ReasonExpired)})
			}
			return true
		})
		for _, h := range q.held {
			found = append(found, w.expire(h, now)...)
		}
	}
	return found
}

func (w *worklist) expire(h *held, now time.Time) (found []attempted) {
	if expires := h.batch.Message.Expires; expires.After(now) || !h.until.After(now) {
		w.soonest = earlier(w.soonest, expires)
		return nil
	}
	w.leave(h)
	for ; h.next < len(h.batch.Items); h.next++ {
		found = append(found, attempted{held: h, result: ended(h.batch.Items[h.next], diaphone.Expired, diaphone.ReasonExpired)})
	}
	return found
}

// drain empties the list and gives what was in it.
func (w *worklist) drain() (all []*held) {
	for _, q := range w.queues() {
		all = append(all, q.held...)
		for _, s := range q.again {
			all = append(all, s.held)
		}
	}
	*w = worklist{}
	return all
}

// leave takes what has not been launched of a batch off its queue's count; it stays in
// the queue, where peek passes over a batch that is used up.
func (w *worklist) leave(h *held) { w.of(h.batch).items -= len(h.batch.Items) - h.next }
