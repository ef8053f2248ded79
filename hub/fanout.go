package hub

import (
	"slices"
	"sync"

	"github.com/diaphone-dev/diaphone/sockets"
)

// Rooms take turns: a turn serves a few subscribers of one room, then the next
// room has its own. So an event for one person does not wait behind ten thousand
// others.
const (
	turnSize  = 64       // subscribers served in one turn
	lookSize  = 4096     // and looked at, for some may lack nothing
	joinSize  = 64       // letters joined into one write
	joinBytes = 32 << 10 // and about their bytes
	queueSize = 256      // letters that may wait in a room before publishers help
)

// round is one walk over a room's seats. Whoever has its turn is given all that it
// lacks, in one write, also what has come since the round began. So a letter is
// with everybody one round after it came, wherever the walk was then, and the more
// letters are under way the more share a write.
type round struct {
	at     int      // seats before it have had their turn
	mark   uint64   // letters before it were there when the round began
	joined []joined // of late, for neighbours mostly lack the same
}

// joined are the letters from one number up to another, as one frame.
type joined struct {
	protocol Protocol
	from, to uint64
	frame    *sockets.Frame
}

// ready is the queue of rooms that have letters to carry out. A room is in it
// once, or a few times when publishers helped: a turn too many does nothing.
type ready struct {
	mu      sync.Mutex
	cond    sync.Cond
	rooms   []*room
	stopped bool
}

func (q *ready) push(r *room) {
	q.mu.Lock()
	q.rooms = append(q.rooms, r)
	q.mu.Unlock()
	q.cond.Signal()
}

// pop waits for a room; nil when the queue has stopped.
func (q *ready) pop() *room {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.rooms) == 0 && !q.stopped {
		q.cond.Wait()
	}
	if q.stopped {
		return nil
	}
	r := q.rooms[0]
	q.rooms[0] = nil
	q.rooms = q.rooms[1:]
	return r
}

func (q *ready) stop() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	q.cond.Broadcast()
}

// work carries letters out until the hub stops.
func (h *Hub) work() {
	y := sockets.NewYielder()
	defer y.Close()
	for r := h.ready.pop(); r != nil; r = h.ready.pop() {
		if h.turn(r) {
			h.ready.push(r)
		}
		// On one core the API must not wait for a large fan-out.
		y.Yield()
	}
}

// post queues a letter and sees to it that it is carried out.
func (h *Hub) post(r *room, l *letter) {
	first, behind := r.take(l)
	h.carry(r, first, behind)
}

// take queues a letter, unless nobody is left to hear it; carry must follow.
func (r *room) take(l *letter) (first, behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead.Load() {
		return false, false
	}
	first = r.add(l)
	if l.awaited != nil {
		r.awaited = r.next
		l.awaited.expect(r.seats, l.except)
	}
	return first, len(r.letters) >= queueSize
}

// carry sees to it that a letter that was taken is carried out.
func (h *Hub) carry(r *room, first, behind bool) {
	if first {
		h.wake(r, true)
	} else if behind {
		h.help(r)
	}
}

// wake starts the carrying out of a room's letters if nobody does it yet. A small
// room is served on the spot: no goroutine is quicker than the one that is here.
func (h *Hub) wake(r *room, first bool) {
	if !first {
		return
	}
	r.mu.Lock()
	small := len(r.seats) <= turnSize
	r.mu.Unlock()
	if small && !h.turn(r) {
		return
	}
	h.ready.push(r)
}

// help makes a publisher that is quicker than the fan-out carry letters itself,
// which bounds the queue without waiting for anything but the processor.
func (h *Hub) help(r *room) {
	for behind := true; behind; {
		h.turn(r)
		r.mu.Lock()
		behind = len(r.letters) >= queueSize
		r.mu.Unlock()
	}
}

// turn serves the next few subscribers of a room. more: letters are left. It may
// be called by anyone at any time; the gate orders the turns.
func (h *Hub) turn(r *room) (more bool) {
	r.gate.Lock()
	defer r.gate.Unlock()
	var seats [turnSize]*seat
	r.mu.Lock()
	n := r.begin(seats[:])
	c := carrier{round: &r.round, letters: r.letters, to: r.next, awaited: r.awaited}
	r.mu.Unlock()
	sent := 0
	for _, s := range seats[:n] {
		sent += c.deliver(s)
	}
	h.sent.Add(uint64(sent))
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settle()
}

// begin takes the next seats that lack something. r.mu is held.
func (r *room) begin(into []*seat) (n int) {
	w := &r.round
	if w.at == 0 {
		w.mark = r.next
		r.tidy()
	}
	for end := min(len(r.seats), w.at+lookSize); n < len(into) && w.at < end; w.at++ {
		if s := r.seats[w.at]; s.next < r.next {
			into[n] = s
			n++
		}
	}
	return n
}

// settle ends a round when all have had their turn: nobody lacks what was there
// when it began. r.mu is held.
func (r *room) settle() (more bool) {
	if w := &r.round; w.at >= len(r.seats) {
		left := min(len(r.letters), int(r.next-w.mark))
		r.letters = slices.Delete(r.letters, 0, len(r.letters)-left)
		*w = round{}
	}
	r.busy = len(r.letters) > 0
	return r.busy
}
