package hub

import (
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// tenant is the live side of one app.
type tenant struct {
	app     *diaphone.App
	rooms   table // of channels
	watched table // of users, by their channel's name

	mu       sync.RWMutex
	sessions map[diaphone.SocketID]*Session

	people  people
	shelves *shelves
}

func newTenant(app *diaphone.App, h *Hub) *tenant {
	t := &tenant{
		app:      app,
		sessions: map[diaphone.SocketID]*Session{},
		people:   people{byID: map[diaphone.UserID]*person{}},
		shelves:  newShelves(h.epoch),
	}
	if h.notice != nil && len(app.Webhooks) > 0 {
		t.rooms.notice = func(n diaphone.Notice) { h.notice(app, n) }
	}
	return t
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

func (t *tenant) size() (connections, channels int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.sessions), t.rooms.len()
}
