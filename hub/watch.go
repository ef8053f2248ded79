package hub

import (
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// offlineGrace is how long a user must have been gone to count as offline. Pusher
// documents none here, but waits so long with its webhooks; without it, everybody
// who changes from one page or network to the next would flap.
const offlineGrace = 3 * time.Second

// watch makes a room that of a watched user: its seats are the watchers', and what
// happens in it is that the user comes and goes. It is guarded by room.mu.
type watch struct {
	online  bool      // as the watchers have been told
	gone    time.Time // when the last session of the user ended
	waiting bool      // it is looked again when the grace is over
}

// Watch tells the session which of the users are online, and from then on of every
// change. A user is online while a session is signed in as it. Only the first call
// counts; it is one of the calls from the callbacks of the connection.
func (s *Session) Watch(users []diaphone.UserID) {
	if len(users) == 0 || s.watching != nil {
		return
	}
	// All rooms stand still until the session has been told, so that no change comes
	// before the state that it changes. Everybody locks them in this order.
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	var online, offline []diaphone.UserID
	for _, u := range users {
		r := s.tenant.watchedRoom(u)
		defer r.mu.Unlock()
		if r.watch.online {
			online = append(online, u)
		} else {
			offline = append(offline, u)
		}
		taken := &seat{session: s, room: r, index: len(r.seats), next: r.next}
		r.seats = append(r.seats, taken)
		s.watching = append(s.watching, taken)
	}
	s.Send(s.protocol.Watchlist(online, offline))
}

// watchedRoom gives the room of a watched user, locked and alive.
func (t *tenant) watchedRoom(u diaphone.UserID) *room {
	for {
		r := t.watched.open(diaphone.UserChannel(u))
		r.mu.Lock()
		if r.dead.Load() {
			r.mu.Unlock()
			continue
		}
		if r.watch == nil {
			r.watch = &watch{online: t.online(u)}
		}
		return r
	}
}

// follow has the watchers of a user told what has changed. Whoever signs a session
// in or out calls it afterwards; it goes by how things stand, not by what happened,
// so that calls may overtake each other.
func (h *Hub) follow(t *tenant, u diaphone.UserID) {
	r := t.watched.room(diaphone.UserChannel(u))
	if r == nil {
		return
	}
	r.mu.Lock()
	first := r.note(h, t, u)
	r.mu.Unlock()
	h.wake(r, first)
}

// note is follow with r.mu held.
func (r *room) note(h *Hub, t *tenant, u diaphone.UserID) (first bool) {
	w := r.watch
	if w == nil || r.dead.Load() {
		return false // nobody watches
	}
	switch online := t.online(u); {
	case online == w.online:
		return false
	case online:
		w.online = true
		return r.add(&letter{encode: func(p Protocol) *sockets.Frame { return p.Watchlist([]diaphone.UserID{u}, nil) }})
	}
	w.gone = time.Now()
	r.lookLater(h, t, u, offlineGrace)
	return false
}

func (r *room) lookLater(h *Hub, t *tenant, u diaphone.UserID, d time.Duration) {
	if !r.watch.waiting {
		r.watch.waiting = true
		h.later.after(d, func() { h.wake(r, r.look(h, t, u)) })
	}
}

// look tells that a user is offline who has been gone for long enough.
func (r *room) look(h *Hub, t *tenant, u diaphone.UserID) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watch
	w.waiting = false
	if r.dead.Load() || !w.online || t.online(u) {
		return false
	}
	if left := offlineGrace - time.Since(w.gone); left > 0 {
		r.lookLater(h, t, u, left)
		return false
	}
	w.online = false
	return r.add(&letter{encode: func(p Protocol) *sockets.Frame { return p.Watchlist(nil, []diaphone.UserID{u}) }})
}
