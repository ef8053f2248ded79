package fallback

import (
	"net"
	"sync"

	"github.com/diaphone-dev/diaphone/sockets"
)

// ID names a session. Server and Session are of the client's own choice, as the
// protocol has it (pusher-js: a number below 1,000 and 8 of 32 letters, 50 bits in
// all), and whoever knows them may listen and speak: they are a secret between
// client and gateway, and belong in no log. Key and Origin narrow what a stolen
// one is good for: it works for the same app, and for pages of the same origin.
type ID struct {
	Key     string // of the app
	Origin  string // of the page; empty: no browser
	Server  string
	Session string
}

// Sessions are all that are open. They start no goroutine; those that serve them
// are the engine's and the HTTP server's.
type Sessions struct {
	adopt func(net.Conn, func(*sockets.Conn) sockets.Handler) error
	most  int

	mu   sync.Mutex
	open map[ID]*session
}

// mostOpen bounds the sessions: unlike a WebSocket, one costs its client no
// connection that it would have to keep.
const mostOpen = 20_000

// New makes an empty table. adopt is sockets.Engine.Adopt, which gets the engine's
// end of each session.
func New(adopt func(net.Conn, func(*sockets.Conn) sockets.Handler) error) *Sessions {
	return &Sessions{adopt: adopt, most: mostOpen, open: map[ID]*session{}}
}

// find gives a session that is open, or nil.
func (t *Sessions) find(id ID) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[id]
}

// enter gives the session of an id, a new one if need be; nil when there are too
// many.
func (t *Sessions) enter(id ID, accept func(*sockets.Conn) sockets.Handler) *session {
	s, fresh := t.book(id)
	if !fresh {
		return s
	}
	err := t.adopt(s, func(c *sockets.Conn) sockets.Handler { return ear{accept(c), s} })
	if err != nil {
		s.ended(sockets.CodeGoingAway)
	}
	return s
}

func (t *Sessions) book(id ID) (s *session, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.open[id]; s != nil || len(t.open) >= t.most {
		return s, false
	}
	s = newSession(id)
	t.open[id] = s
	return s, true
}

// drop forgets a session and hangs up.
func (t *Sessions) drop(s *session) {
	t.mu.Lock()
	if t.open[s.id] == s {
		delete(t.open, s.id)
	}
	t.mu.Unlock()
	s.leave()
}
