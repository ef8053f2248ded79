package hub

import (
	"container/list"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// Bounds on what is remembered of who has taken which message. What is forgotten
// counts as not taken: a phone too many is told, never one too few.
const (
	takersKept = 15 * time.Minute
	maxTakers  = 1 << 20
)

// awaiting are the messages of which it is asked who has taken them.
type awaiting struct {
	mu        sync.Mutex
	byMessage map[messageRef]*list.Element
	order     list.List // of *awaited, the oldest in front
	takers    int
	fences    uint64 // the last that was given
}

type messageRef struct {
	app diaphone.AppID
	id  diaphone.MessageID
}

// awaited is one of them.
type awaited struct {
	messageRef
	fence uint64
	by    diaphone.Proof
	since time.Time
	until time.Time

	counted int // of takers; guarded by awaiting.mu

	mu        sync.Mutex
	published bool // who is not among the takers now will not be
	takers    map[diaphone.UserID]*taker
}

// taker is a user who was live when a message came, or whose phone reports that it has it.
type taker struct {
	live     bool // when it came
	sessions int  // that may still give the proof
	how      diaphone.Taking
}

// proof is what a session can give: that its user has taken a message.
type proof struct {
	of   *awaited
	user diaphone.UserID
}

// proofs are those that a session may give, in the order in which their letters went
// out to it.
type proofs struct {
	mu  sync.Mutex
	all []proof
}

// maxProofs of one session are awaited at a time.
const maxProofs = 256

// Await announces a message: until it is published, or not, any user may yet take it.
// Publishing it is up to the function that is given, which is called once. It notes
// which users take the event: Taken tells. Every session of theirs gets a ping right
// behind it, or is asked for a receipt. Without an event (nil) it only asks who is
// there, and without channels the message is forgotten.
func (h *Hub) Await(app *diaphone.App, w diaphone.Awaited) (publish func(channels []diaphone.ChannelName, e *diaphone.Event)) {
	a := h.awaiting.open(messageRef{app.ID, w.Message}, w)
	return func(channels []diaphone.ChannelName, e *diaphone.Event) {
		h.publishAwaited(h.tenantOf(app), a, channels, e)
	}
}

func (h *Hub) publishAwaited(t *tenant, a *awaited, channels []diaphone.ChannelName, e *diaphone.Event) {
	if e != nil {
		h.publish(t, channels, outgoing{Event: *e, awaited: a})
	} else {
		for _, c := range channels {
			if r := t.rooms.room(c); r != nil {
				h.post(r, &letter{awaited: a, encode: a.ask(c)})
			}
		}
	}
	h.awaiting.count(a)
}

// Confirm notes that a device reports to have a message, so its user has it. It is
// remembered as long as what sockets prove, also of a message that is not known here
// any more: the caller vouches that there is such a message, and such a user.
func (h *Hub) Confirm(app diaphone.AppID, id diaphone.MessageID, u diaphone.UserID) {
	w := &h.awaiting
	w.mu.Lock()
	defer w.mu.Unlock()
	ref := messageRef{app, id}
	var a *awaited
	if e := w.byMessage[ref]; e != nil {
		a = e.Value.(*awaited)
	} else {
		a = w.add(ref)
		a.published = true
	}
	if a.prove(u, diaphone.TakenElsewhere) {
		a.counted++
		w.takers++
	}
	w.trim()
}

// Taken tells how a user has taken a message, or until when that may still turn out
// (zero: it will not, as far as is known here).
func (h *Hub) Taken(app diaphone.AppID, id diaphone.MessageID, u diaphone.UserID) (how diaphone.Taking, until time.Time) {
	a := h.awaiting.find(messageRef{app, id})
	if a == nil {
		return "", time.Time{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch who := a.takers[u]; {
	case who == nil && !a.published && time.Now().Before(a.until):
		return "", a.until
	case who == nil:
		return "", time.Time{}
	case who.how != "":
		return who.how, time.Time{}
	case who.sessions > 0 && time.Now().Before(a.until):
		return "", a.until
	}
	return "", time.Time{}
}

func (w *awaiting) find(ref messageRef) *awaited {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.byMessage[ref]; e != nil {
		return e.Value.(*awaited)
	}
	return nil
}

// open begins to remember a message.
func (w *awaiting) open(ref messageRef, how diaphone.Awaited) *awaited {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fences++
	a := w.add(ref)
	a.fence, a.by, a.until = w.fences, how.By, how.Until
	return a
}

// add makes room for a message. w.mu is held.
func (w *awaiting) add(ref messageRef) *awaited {
	a := &awaited{messageRef: ref, since: time.Now(), takers: map[diaphone.UserID]*taker{}}
	if w.byMessage == nil {
		w.byMessage = map[messageRef]*list.Element{}
	}
	w.byMessage[ref] = w.order.PushBack(a)
	return a
}

// count is called when all who may take a message are known. Nobody: there is
// nothing to remember.
func (w *awaiting) count(a *awaited) {
	n := a.closed()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takers += n - a.counted
	a.counted = n
	if n == 0 {
		w.forget(w.byMessage[a.messageRef])
	}
	w.trim()
}

// trim forgets what is old or too much. w.mu is held.
func (w *awaiting) trim() {
	for e := w.order.Front(); e != nil; e = w.order.Front() {
		if oldest := e.Value.(*awaited); w.takers <= maxTakers && time.Since(oldest.since) < takersKept {
			return
		}
		w.forget(e)
	}
}

func (w *awaiting) forget(e *list.Element) {
	if e == nil {
		return
	}
	a := w.order.Remove(e).(*awaited)
	delete(w.byMessage, a.messageRef)
	w.takers -= a.counted
}

// closed gives the number of those who may take the message, or have.
func (a *awaited) closed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.published = true
	return len(a.takers)
}

// behind writes an event with what asks for the proof right behind it.
func (a *awaited) behind(c diaphone.ChannelName, e *diaphone.Event) func(Protocol) *sockets.Frame {
	return func(p Protocol) *sockets.Frame {
		if a.by == diaphone.ByReceipt {
			return sockets.Join(p.Event(c, e), p.ReceiptWanted(c, e))
		}
		return sockets.Join(p.Event(c, e), sockets.Ping(a.fence))
	}
}

// ask asks for the proof alone.
func (a *awaited) ask(c diaphone.ChannelName) func(Protocol) *sockets.Frame {
	return func(p Protocol) *sockets.Frame {
		if a.by == diaphone.ByReceipt {
			return p.ReceiptWanted(c, &diaphone.Event{Message: a.id})
		}
		return sockets.Ping(a.fence)
	}
}

// expect counts the sessions that will hear the letter. The room stands still.
func (a *awaited) expect(seats []*seat, except *Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range seats {
		u := s.user()
		if u == "" || s.session == except {
			continue
		}
		if a.takers[u] == nil {
			a.takers[u] = &taker{}
		}
		a.takers[u].live = true
		a.takers[u].sessions++
	}
}

// prove notes how a user has taken the message; the first proof counts. more: the user
// was not among the takers.
func (a *awaited) prove(u diaphone.UserID, how diaphone.Taking) (more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	who := a.takers[u]
	if more = who == nil; more {
		who = &taker{}
		a.takers[u] = who
	}
	if who.how == "" {
		who.how = how
	}
	return more
}

// unheard gives up what a session that leaves has not been told yet: it proves nothing.
// r.mu is held.
func (r *room) unheard(taken *seat) {
	if r.awaited <= taken.next {
		return
	}
	u := taken.user()
	first := r.next - uint64(len(r.letters))
	for i, l := range r.letters {
		if first+uint64(i) >= taken.next && l.awaited != nil && l.except != taken.session && u != "" {
			l.awaited.lose(u)
		}
	}
}

// lose notes that a session has ended without a proof.
func (a *awaited) lose(u diaphone.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if who := a.takers[u]; who != nil {
		who.sessions--
	}
}

// user is who sits there; empty: nobody that the app's backend has named.
func (s *seat) user() diaphone.UserID {
	if s.member != nil {
		return s.member.User
	}
	return s.session.User()
}

// sendAwaited is Send for letters whose taking is awaited. What may prove it is noted
// in the order in which the letters go out, for a pong answers for all before it.
func (s *Session) sendAwaited(f *sockets.Frame, all []proof) {
	if len(all) == 0 {
		_ = s.conn.Send(f) // a failed one ends by itself
		return
	}
	p := s.proofs.Load()
	if p == nil {
		s.proofs.CompareAndSwap(nil, &proofs{})
		p = s.proofs.Load()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.all) > 0 && len(p.all)+len(all) > maxProofs {
		p.all[0].of.lose(p.all[0].user)
		p.all = p.all[1:]
	}
	p.all = append(p.all, all...)
	_ = s.conn.Send(f)
}

// Pong tells that the peer has taken all that went out before a fence of the hub's.
func (s *Session) Pong(fence uint64) {
	p := s.proofs.Load()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := -1
	for i, it := range p.all {
		if it.of.fence == fence {
			at = i
			break
		}
	}
	left := p.all[:0]
	for i, it := range p.all {
		if i <= at && it.of.by == diaphone.ByPong {
			it.of.prove(it.user, diaphone.TakenLive)
		} else {
			left = append(left, it)
		}
	}
	clear(p.all[len(left):])
	p.all = left
}

// Receipt notes that the session's user says to have taken a message, if it is known
// here: a client must not be able to have anything remembered.
func (s *Session) Receipt(id diaphone.MessageID) {
	a := s.hub.awaiting.find(messageRef{s.app.ID, id})
	if a == nil {
		return
	}
	if u := s.User(); u != "" {
		a.prove(u, diaphone.TakenLive)
	}
	for _, taken := range s.seats {
		if taken.member != nil {
			a.prove(taken.member.User, diaphone.TakenLive)
		}
	}
}

// loseProofs is what a session leaves behind that ends.
func (s *Session) loseProofs() {
	p := s.proofs.Load()
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.all {
		it.of.lose(it.user)
	}
	p.all = nil
}
