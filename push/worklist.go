package push

import (
	"slices"
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

// worklist is what a lane has claimed and not launched: urgent first, then in
// the order claimed. It belongs to the lane's goroutine.
type worklist struct {
	again        []single // come out of the waiting room, and go first
	urgent, bulk []*held
	urgentItems  int
	bulkItems    int
	soonest      time.Time // no delivery expires before it
}

// single is one delivery of a batch.
type single struct {
	held *held
	item storage.Item
}

func (w *worklist) len() int { return w.urgentItems + w.bulkItems }

func (w *worklist) add(b *storage.Batch, until time.Time) {
	h := &held{batch: b, until: until}
	w.soonest = earlier(w.soonest, b.Message.Expires)
	if b.Urgent {
		w.urgent, w.urgentItems = append(w.urgent, h), w.urgentItems+len(b.Items)
		return
	}
	w.bulk, w.bulkItems = append(w.bulk, h), w.bulkItems+len(b.Items)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// resume takes a delivery that has come out of the waiting room.
func (w *worklist) resume(s single) {
	w.again = append(w.again, s)
	w.soonest = earlier(w.soonest, s.held.batch.Message.Expires)
}

// peek gives the next delivery. Batches whose lease has run out are dropped:
// they are back in the queue and would be sent twice.
func (w *worklist) peek(now time.Time) (h *held, item storage.Item, ok bool) {
	for ; len(w.again) > 0; w.again = w.again[1:] {
		if s := w.again[0]; s.held.until.After(now) {
			return s.held, s.item, true
		}
	}
	for {
		queue, items := w.head()
		if len(*queue) == 0 {
			return nil, storage.Item{}, false
		}
		h = (*queue)[0]
		if h.until.After(now) && h.next < len(h.batch.Items) {
			return h, h.batch.Items[h.next], true
		}
		*items -= len(h.batch.Items) - h.next
		*queue = (*queue)[1:]
	}
}

// pop takes what peek gave.
func (w *worklist) pop() {
	if len(w.again) > 0 {
		w.again = w.again[1:]
		return
	}
	queue, items := w.head()
	(*queue)[0].next++
	*items--
}

func (w *worklist) head() (queue *[]*held, items *int) {
	if len(w.urgent) > 0 {
		return &w.urgent, &w.urgentItems
	}
	return &w.bulk, &w.bulkItems
}

// expired takes the deliveries that may not be sent any more out of the list,
// wherever they stand in it.
func (w *worklist) expired(now time.Time) (found []attempted) {
	if now.Before(w.soonest) {
		return nil
	}
	w.soonest = now.Add(tick)
	w.again = slices.DeleteFunc(w.again, func(s single) bool {
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
	for _, queue := range [][]*held{w.urgent, w.bulk} {
		for _, h := range queue {
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
	items := &w.bulkItems
	if h.batch.Urgent {
		items = &w.urgentItems
	}
	for ; h.next < len(h.batch.Items); h.next++ {
		*items--
		found = append(found, attempted{held: h, result: ended(h.batch.Items[h.next], diaphone.Expired, diaphone.ReasonExpired)})
	}
	return found
}

// drain empties the list and gives what was in it.
func (w *worklist) drain() []*held {
	all := append(w.urgent, w.bulk...)
	for _, s := range w.again {
		all = append(all, s.held)
	}
	*w = worklist{}
	return all
}

// leave takes what has not been launched of a batch off the list's count; it stays in
// its queue, where peek passes over a batch that is used up.
func (w *worklist) leave(h *held) {
	left := len(h.batch.Items) - h.next
	if h.batch.Urgent {
		w.urgentItems -= left
	} else {
		w.bulkItems -= left
	}
}
