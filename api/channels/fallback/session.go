package fallback

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone/sockets"
)

// Close codes of Pusher's: connect again at once, and after a second.
const (
	codeAgain = 4200
	codeFull  = 4100
)

// mostOwed is how many pings a client may leave without an answer.
const mostOwed = 256

// gap is how long a session lasts while no request listens for it. A client
// listens again one round trip after its last request has ended.
const gap = 10 * time.Second

// session is one connection. It lives as long as it is in the table; then the
// engine's end is told, and whoever still listens.
type session struct {
	id ID

	mu      sync.Mutex
	changed sync.Cond // anything below
	said    []byte    // frames for the engine
	torn    []byte    // of a frame that the engine has not written whole
	told    []item    // for the client
	waiting int       // bytes of told
	order   order     // of the client's requests
	owed    [][]byte  // payloads of the pings that the client has not answered, the oldest first
	over    *ending   // why nothing follows behind told; nil: the session is open
	shut    bool      // the engine's end is closed
	gone    bool      // the session is not in the table any more
	greeted bool      // the client has been told that the session is open

	listening bool        // a request does
	parting   bool        // it has told its client all that it will
	idle      *time.Timer // runs while none does
	deadline  *time.Timer // of the engine's end of the stream; nil: none
	unread    bool        // the engine reads no more
}

// item is one thing to tell the client: a message, or a ping with its payload.
type item struct {
	text []byte
	ping []byte
}

// ending is how a connection has ended.
type ending struct {
	code   int
	reason string
}

func newSession(id ID) *session {
	s := &session{id: id}
	s.changed.L = &s.mu
	return s
}

// finish says what the client's last line will be. The first reason counts. s.mu
// is held.
func (s *session) finish(code int, reason string) {
	if s.over == nil {
		s.over = &ending{code, reason}
	}
}

// attach makes a request the one that listens. One that has told its client to
// listen again may not have returned yet: that is waited for. Otherwise a second one
// ends the session, for one of the two is a stranger, and what the other has taken
// would be missing without a word. It is false when the session has ended.
func (s *session) attach(ctx context.Context, n uint64) bool {
	defer context.AfterFunc(ctx, s.wake)()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order.mark(n)
	s.changed.Broadcast()
	for s.listening && s.parting && !s.gone && ctx.Err() == nil {
		s.changed.Wait()
	}
	if s.listening {
		s.finish(codeAgain, "Two requests listen at once")
		s.hangUp(sockets.CodeGoingAway)
		return false
	}
	if s.gone {
		return false
	}
	s.listening, s.parting = true, false
	if s.idle != nil {
		s.idle.Stop()
	}
	s.live()
	return true
}

// part is told before a request's last lines go out: whoever reads them may
// listen again.
func (s *session) part() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parting = true
}

// detach ends a request's listening. Unless another comes in time, lost is called.
func (s *session) detach(lost func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening = false
	if !s.gone {
		s.idle = time.AfterFunc(gap, lost)
	}
	s.changed.Broadcast()
}

// wake has everybody who waits look again.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// live tells the engine that the client is there. s.mu is held.
func (s *session) live() {
	if len(s.said) == 0 {
		s.said = appendFrame(s.said, ws.OpPong, nil)
		s.changed.Broadcast()
	}
}

// leave hangs up: the engine sees a client that goes away.
func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	s.gone = true
	s.told, s.waiting = nil, 0
	s.finish(codeAgain, "The session has ended")
	s.hangUp(sockets.CodeGoingAway)
}

// hangUp is the client's close frame. s.mu is held.
func (s *session) hangUp(code int) {
	s.said = appendFrame(s.said, ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), ""))
	s.changed.Broadcast()
}

// take gives the lines that wait for the client, and whether they are its last;
// it waits for some until ctx ends.
func (s *session) take(ctx context.Context) (lines []byte, last bool) {
	defer context.AfterFunc(ctx, s.wake)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.told) == 0 && s.over == nil && ctx.Err() == nil {
		s.changed.Wait()
	}
	if len(s.told) == 0 && s.over == nil {
		return nil, false
	}
	if !s.greeted {
		s.greeted = true
		lines = append(lines, "o\n"...)
	}
	lines = s.messages(lines)
	s.changed.Broadcast()
	if s.over != nil {
		return closing(lines, s.over.code, s.over.reason), true
	}
	return lines, false
}

// messages writes all that waits as one line. Of several pings the last is enough:
// its answer covers what was sent before the others too. s.mu is held.
func (s *session) messages(lines []byte) []byte {
	lastPing := -1
	for i, it := range s.told {
		// One that carries a fence counts more than a later one that only asks whether
		// the client is alive: its pong says that, too.
		if it.ping != nil && (lastPing < 0 || fenced(it.ping) || !fenced(s.told[lastPing].ping)) {
			lastPing = i
		}
	}
	start := len(lines)
	for i, it := range s.told {
		text := it.text
		if it.ping != nil {
			if i != lastPing {
				continue
			}
			text = []byte(pingEvent)
			s.owe(it.ping)
		}
		if len(lines) == start {
			lines = append(lines, "a["...)
		} else {
			lines = append(lines, ',')
		}
		lines, _ = jsontext.AppendQuote(lines, text) // the engine sends valid UTF-8
	}
	s.told, s.waiting = nil, 0
	if len(lines) > start {
		lines = append(lines, "]\n"...)
	}
	return lines
}

// fenced tells whether the engine waits for the very pong of a ping.
func fenced(ping []byte) bool { return len(bytes.Trim(ping, "\x00")) > 0 }

// owe notes a ping that goes out. s.mu is held.
func (s *session) owe(ping []byte) {
	s.owed = append(s.owed, ping)
	if len(s.owed) > mostOwed && s.over == nil {
		s.finish(sockets.CodeDead, "Pong replies not received")
		s.hangUp(sockets.CodeDead)
	}
}

// say passes messages of the client's on to the engine, in the turn of their
// request, and waits while that has too much to read. None is a sign of life. It is
// false when the session has ended.
func (s *session) say(ctx context.Context, n uint64, messages []string) bool {
	defer context.AfterFunc(ctx, s.wake)()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.await(ctx, n)
	defer s.passed(n)
	for len(s.said) >= mostSaid && s.over == nil && ctx.Err() == nil {
		s.changed.Wait()
	}
	if s.over != nil || ctx.Err() != nil {
		return false
	}
	if len(messages) == 0 {
		s.live()
	}
	for _, m := range messages {
		// The client hears pings in order and answers each: the nth pong proves the
		// nth ping, in whichever order the requests that carry them arrive.
		if len(s.owed) > 0 && isPong(m) {
			s.said = appendFrame(s.said, ws.OpPong, s.owed[0])
			s.owed = s.owed[1:]
			continue
		}
		s.said = appendFrame(s.said, ws.OpText, []byte(m))
	}
	return true
}

// closing appends a client's last line.
func closing(lines []byte, code int, reason string) []byte {
	lines = append(lines, "c["...)
	lines = strconv.AppendInt(lines, int64(code), 10)
	lines = append(lines, ',')
	lines, _ = jsontext.AppendQuote(lines, reason)
	return append(lines, "]\n"...)
}
