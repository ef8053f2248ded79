package hub

import (
	"strings"
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// tenant is the live side of one app.
type tenant struct {
	mu       sync.RWMutex
	rooms    map[diaphone.ChannelName]*room
	sessions map[diaphone.SocketID]*Session

	people  people
	shelves *shelves
}

func newTenant() *tenant {
	return &tenant{
		rooms:    map[diaphone.ChannelName]*room{},
		sessions: map[diaphone.SocketID]*Session{},
		people:   people{byID: map[diaphone.UserID]*person{}},
		shelves:  newShelves(),
	}
}

// enter counts a session in, unless limit (0: none) are here.
func (t *tenant) enter(s *Session, limit int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit > 0 && len(t.sessions) >= limit {
		return ErrOverQuota
	}
	t.sessions[s.id] = s
	return nil
}

func (t *tenant) exit(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, s.id)
}

func (t *tenant) session(id diaphone.SocketID) *Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sessions[id]
}

func (t *tenant) everySession() []*Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*Session, 0, len(t.sessions))
	for _, s := range t.sessions {
		all = append(all, s)
	}
	return all
}

func (t *tenant) room(name diaphone.ChannelName) *room {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rooms[name]
}

// open gives the channel's room, a new one if there is none that lives.
func (t *tenant) open(name diaphone.ChannelName) *room {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rooms[name]
	if r == nil || r.dead.Load() {
		r = &room{name: name}
		t.rooms[name] = r
	}
	return r
}

// forget drops a dead room, unless another has taken its place.
func (t *tenant) forget(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rooms[r.name] == r {
		delete(t.rooms, r.name)
	}
}

// vacate gives up a room that was opened and then not entered.
func (t *tenant) vacate(r *room) {
	r.mu.Lock()
	r.retire()
	r.mu.Unlock()
	if r.dead.Load() {
		t.forget(r)
	}
}

func (t *tenant) roomsWithPrefix(prefix string) []*room {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var found []*room
	for name, r := range t.rooms {
		if strings.HasPrefix(string(name), prefix) {
			found = append(found, r)
		}
	}
	return found
}

func (t *tenant) size() (connections, channels int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.sessions), len(t.rooms)
}
