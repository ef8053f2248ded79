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
	turnSize   = 64       // subscribers served in one turn
	sweepSize  = 64       // letters carried in one walk over a room
	sweepBytes = 32 << 10 // and about their bytes: they are joined into one write
	queueSize  = 256      // letters that may wait in a room before publishers help
)

// sweep is one walk over a room's seats with the letters that waited when it began.
type sweep struct {
	letters []*letter
	from    uint64 // the number of letters[0]
	at      int    // seats before it have been served
	plain   bool   // no letter excepts anybody
	joined  []written
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
	return first, len(r.queue) >= queueSize
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
		behind = len(r.queue) >= queueSize
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
	r.mu.Unlock()
	sent := 0
	for _, s := range seats[:n] {
		sent += r.sweep.deliver(s)
	}
	h.sent.Add(uint64(sent))
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settle()
}

// begin takes the next seats to serve. r.mu is held.
func (r *room) begin(into []*seat) int {
	w := &r.sweep
	if len(w.letters) == 0 {
		r.pack()
	}
	if len(w.letters) == 0 {
		return 0
	}
	n := copy(into, r.seats[w.at:])
	w.at += n
	return n
}

// pack begins a sweep with what waits, within its bounds. r.mu is held.
func (r *room) pack() {
	if len(r.queue) == 0 {
		return
	}
	r.tidy()
	n, bytes, plain := 0, 0, true
	for n < len(r.queue) && n < sweepSize && (n == 0 || bytes+r.queue[n].size <= sweepBytes) {
		bytes += r.queue[n].size
		plain = plain && r.queue[n].except == nil
		n++
	}
	r.sweep = sweep{
		letters: slices.Clone(r.queue[:n]),
		from:    r.next - uint64(len(r.queue)),
		plain:   plain,
	}
	r.queue = slices.Delete(r.queue, 0, n)
}

// settle ends a sweep that has served all. r.mu is held.
func (r *room) settle() (more bool) {
	if r.sweep.at >= len(r.seats) {
		r.sweep = sweep{}
	}
	more = len(r.sweep.letters) > 0 || len(r.queue) > 0
	r.busy = more
	return more
}

// deliver hands a subscriber those letters of the sweep that are for it, in one
// write, and counts them. The gate is held.
func (w *sweep) deliver(s *seat) int {
	p := s.session.protocol
	if w.plain && s.first <= w.from {
		if s.session.conn.Send(w.all(p)) != nil {
			return 0
		}
		return len(w.letters)
	}
	var frames []*sockets.Frame
	for i, l := range w.letters {
		if w.from+uint64(i) >= s.first && l.except != s.session {
			frames = append(frames, l.frame(p))
		}
	}
	if len(frames) == 0 || s.session.conn.Send(sockets.Join(frames...)) != nil {
		return 0
	}
	return len(frames)
}

// all gives the whole sweep as one frame, joined once for each protocol.
func (w *sweep) all(p Protocol) *sockets.Frame {
	for _, done := range w.joined {
		if done.protocol == p {
			return done.frame
		}
	}
	frames := make([]*sockets.Frame, len(w.letters))
	for i, l := range w.letters {
		frames[i] = l.frame(p)
	}
	f := sockets.Join(frames...)
	w.joined = append(w.joined, written{p, f})
	return f
}
