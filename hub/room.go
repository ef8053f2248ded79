package hub

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// room is one channel that somebody is in. What happens in it (events, members
// coming and going) is one sequence of letters; a subscriber hears exactly those
// numbered from when it sat down.
type room struct {
	name  diaphone.ChannelName
	table *table
	dead  atomic.Bool // empty and given up; set under mu

	notice func(diaphone.Notice) // hears what happens here; nil: nobody listens

	// gate is held while letters go out to a few subscribers. Leaving takes it too,
	// so that nothing reaches a session that has left. Taken before mu.
	gate sync.Mutex

	mu       sync.Mutex
	seats    []*seat   // in the order of their connections' places, more or less
	disorder int       // seats out of order, at most
	members  []*member // in the order they came
	letters  []*letter // that some seat may still lack
	next     uint64    // the number of the next letter; letters has those right before it
	busy     bool      // somebody carries letters out
	tally    tally
	awaited  uint64 // behind the number of the last letter whose taking is awaited
	watch    *watch // of a watched user's room; nil in a channel's
	round    round
}

// seat is one session in one room.
type seat struct {
	session *Session
	room    *room
	member  *member
	index   int    // in room.seats
	place   int    // of its connection
	next    uint64 // the letter that it hears next; guarded by the gate
}

type member struct {
	Member
	sessions int
}

// letter is one thing that a room's subscribers hear.
type letter struct {
	except  *Session
	awaited *awaited // what is to be known of who has taken it; nil: nothing
	size    int      // about the bytes of its frame
	encode  func(Protocol) *sockets.Frame
	frames  []written // one for each protocol met so far; guarded by the gate
}

type written struct {
	protocol Protocol
	frame    *sockets.Frame
}

func (l *letter) frame(p Protocol) *sockets.Frame {
	for _, w := range l.frames {
		if w.protocol == p {
			return w.frame
		}
	}
	f := l.encode(p)
	l.frames = append(l.frames, written{p, f})
	return f
}

// add queues a letter. first: nobody carries the queue out yet, so the caller
// must. r.mu is held.
func (r *room) add(l *letter) (first bool) {
	r.letters = append(r.letters, l)
	r.next++
	first = !r.busy
	r.busy = true
	return first
}

// join seats a session and tells it so while the room stands still: everything
// numbered before is in what it is told, everything after follows. after goes right
// behind the answer; nil: nothing does. The seat is nil when the room has died.
func (r *room) join(s *Session, m *Member, after *sockets.Frame) (taken *seat, first bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead.Load() {
		return nil, false, nil
	}
	taken = &seat{session: s, room: r, index: len(r.seats), place: s.conn.Place()}
	var roster []Member
	if m != nil {
		taken.member, first, err = r.seatMember(s, *m)
		if err != nil {
			return nil, false, err
		}
		roster = r.roster()
	}
	taken.next = r.next
	if n := len(r.seats); n > 0 && r.seats[n-1].place > taken.place {
		r.disorder++
	}
	r.seats = append(r.seats, taken)
	r.arrived(taken)
	answer := s.protocol.Subscribed(r.name, roster)
	if after != nil {
		answer = sockets.Join(answer, after)
	}
	s.Send(answer)
	if counts(s.app, r.name) {
		first = r.recount(s.hub) || first
	}
	return taken, first, nil
}

// seatMember counts a session of a user; only the user's first is announced. What
// the first said of the user stays while any session of the user does.
func (r *room) seatMember(s *Session, m Member) (who *member, first bool, err error) {
	for _, who := range r.members {
		if who.User == m.User {
			who.sessions++
			return who, false, nil
		}
	}
	if len(r.members) >= s.app.Limits.MaxPresenceMembers() {
		return nil, false, ErrFull
	}
	who = &member{Member: m, sessions: 1}
	r.members = append(r.members, who)
	s.tenant.people.change(m.User, func(p *person) { p.present++ })
	first = r.add(&letter{encode: func(p Protocol) *sockets.Frame { return p.MemberAdded(r.name, m) }})
	return who, first, nil
}

func (r *room) roster() []Member {
	roster := make([]Member, len(r.members))
	for i, m := range r.members {
		roster[i] = m.Member
	}
	return roster
}

// leave frees a seat; the last seat of a user is announced to the others.
func (r *room) leave(taken *seat) (first bool) {
	r.gate.Lock()
	defer r.gate.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unseat(taken.index)
	if who := taken.member; who != nil {
		if who.sessions--; who.sessions == 0 {
			taken.session.tenant.people.change(who.User, func(p *person) { p.present-- })
			r.members = slices.DeleteFunc(r.members, func(m *member) bool { return m == who })
			first = r.add(&letter{encode: func(p Protocol) *sockets.Frame { return p.MemberRemoved(r.name, who.User) }})
		}
	}
	if s := taken.session; len(r.seats) > 0 && counts(s.app, r.name) {
		first = r.recount(s.hub) || first
	}
	r.departed(taken)
	r.unheard(taken)
	r.retire()
	return first
}

// unseat keeps the seats dense. Those before round.at have had their turn in this
// round and those behind have not, so a hole in front is filled from the front's
// own end.
func (r *room) unseat(i int) {
	if at := r.round.at; i < at {
		r.move(at-1, i)
		i = at - 1
		r.round.at--
	}
	end := len(r.seats) - 1
	if i != end { // else the hole is the end already, and what stands there has moved
		r.move(end, i)
	}
	r.seats[end] = nil
	r.seats = r.seats[:end]
}

func (r *room) move(from, to int) {
	if from == to {
		return
	}
	r.disorder++
	r.seats[to] = r.seats[from]
	r.seats[to].index = to
}

// tidy puts the seats in order when many are not: connections come and go, and
// sorting for each would cost a large room more than the order saves. It is for
// the time between two rounds. r.mu is held.
func (r *room) tidy() {
	if r.disorder <= len(r.seats)/16 || len(r.seats) <= turnSize {
		return
	}
	slices.SortFunc(r.seats, func(a, b *seat) int { return cmp.Compare(a.place, b.place) })
	for i, s := range r.seats {
		s.index = i
	}
	r.disorder = 0
}

// retire gives up an empty room. r.mu is held.
func (r *room) retire() {
	if len(r.seats) == 0 {
		r.dead.Store(true)
		r.letters, r.round = nil, round{}
	}
}
