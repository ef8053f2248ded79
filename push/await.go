package push

import (
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// A delivery whose user may yet be proven to have taken the message live waits in
// the lane's memory, under its lease: the proof takes milliseconds mostly, and a
// record on the disk for each that waits would cost more than the push.
const (
	askEvery   = 250 * time.Millisecond
	maxWaiting = 50_000 // deliveries of one lane; the next are written down until their proof is due
)

// waiting is one such delivery.
type waiting struct {
	held  *held
	item  storage.Item
	user  diaphone.UserID
	until time.Time
}

// waitingRoom holds them. It belongs to the lane's goroutine.
type waitingRoom struct {
	all   []waiting
	askAt time.Time
}

// taken asks whether the device's user has the message already. It gives
// the end of the delivery, or what it waits for, or neither: then it is to be sent.
func (l *lane) taken(h *held, item storage.Item, d *diaphone.Device) (attempted, bool) {
	m := h.batch.Message
	if m.When != diaphone.Away || d.User == "" {
		return attempted{}, false
	}
	how, until := l.engine.Taken(l.id.App, m.ID, d.User)
	switch {
	case how != "":
		return attempted{held: h, result: ended(item, diaphone.Suppressed, string(how))}, true
	case !until.IsZero():
		return attempted{held: h, wait: &waiting{held: h, item: item, user: d.User, until: until}}, true
	}
	return attempted{}, false
}

// await takes a delivery into the waiting room. It is false when that is full.
func (l *lane) await(w *waiting) bool {
	if len(l.waiting.all) >= maxWaiting {
		return false
	}
	if len(l.waiting.all) == 0 {
		l.waiting.askAt = time.Now().Add(askEvery)
	}
	l.waiting.all = append(l.waiting.all, *w)
	return true
}

// ask goes through the waiting room: who is proven to have taken the message needs no
// push, and whose time is over gets one. It says when to ask again.
func (l *lane) ask(now time.Time) (wait time.Duration) {
	room := &l.waiting
	if len(room.all) == 0 {
		return tick
	}
	if wait := room.askAt.Sub(now); wait > 0 {
		return wait
	}
	still := room.all[:0]
	for _, w := range room.all {
		switch how, until := l.engine.Taken(l.id.App, w.held.batch.Message.ID, w.user); {
		case !w.held.until.After(now): // it is back in the queue
		case how != "":
			l.end(w, diaphone.Suppressed, string(how))
		case !w.held.batch.Message.Expires.After(now):
			l.end(w, diaphone.Expired, diaphone.ReasonExpired)
		case until.IsZero() || !now.Before(w.until):
			l.work.resume(single{w.held, w.item})
		default:
			still = append(still, w)
		}
	}
	clear(room.all[len(still):])
	room.all = still
	room.askAt = now.Add(askEvery)
	return askEvery
}

// end settles a delivery that needs no attempt.
func (l *lane) end(w waiting, s diaphone.State, reason string) {
	l.flying++
	l.results = append(l.results, attempted{held: w.held, result: ended(w.item, s, reason)})
}
