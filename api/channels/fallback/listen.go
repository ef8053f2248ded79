package fallback

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/diaphone-dev/diaphone/sockets"
)

const (
	// quiet is after how long without a line a request hears h, so that no proxy
	// takes it for dead. A stream's client answers it, a poll's polls again: before
	// the engine would ping.
	quiet = 20 * time.Second
	// patience is how long a client may take to accept one batch of lines.
	patience = 20 * time.Second
	// mostStreamed is how much of one stream pusher-js reads before it opens the
	// next, in UTF-16 units. It does so at the first end of a line beyond, so there a
	// stream ends: then nothing is under way that would be lost.
	mostStreamed = 256 << 10
)

// prelude makes browsers and proxies that gather the first bytes of an answer let
// it pass. The client reads it as h.
var prelude = []byte(strings.Repeat("h", 2048) + "\n")

// Stream answers a request that listens until its answer is long enough. A new id
// opens a session, and accept meets its connection.
func (t *Sessions) Stream(w http.ResponseWriter, r *http.Request, id ID, accept func(*sockets.Conn) sockets.Handler) {
	if a := begin(w, r); a != nil && a.write(prelude) {
		t.listen(a, r, t.enter(id, accept), mostStreamed)
	}
}

// Poll answers a request that listens for the next lines. Otherwise it is Stream.
func (t *Sessions) Poll(w http.ResponseWriter, r *http.Request, id ID, accept func(*sockets.Conn) sockets.Handler) {
	if a := begin(w, r); a != nil {
		t.listen(a, r, t.enter(id, accept), 0)
	}
}

// listen tells a session's client what there is, until it has been told more than
// most units.
func (t *Sessions) listen(a *answer, r *http.Request, s *session, most int) {
	defer a.bound()
	if s == nil {
		a.write(closing(nil, codeFull, "Over capacity"))
		return
	}
	if !s.attach(r.Context(), numberOf(r.URL)) {
		a.write(closing(nil, codeAgain, "The session has ended"))
		return
	}
	defer s.detach(func() { t.drop(s) })
	for a.units <= most {
		lines, last := s.next(r.Context())
		if a.units+units(lines) > most {
			s.part()
		}
		if r.Context().Err() != nil || !a.write(lines) || last {
			t.drop(s)
			return
		}
	}
}

// next is take, and h when there is nothing for a while.
func (s *session) next(ctx context.Context) (lines []byte, last bool) {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	if lines, last = s.take(ctx); lines == nil {
		lines = []byte("h\n")
	}
	return lines, last
}

// answer is what a client reads line by line.
type answer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	units   int // written so far
}

// begin writes the headers. It gives nil when the request is refused.
func begin(w http.ResponseWriter, r *http.Request) *answer {
	// The body says nothing, but net/http watches for the end of a request only when
	// it has been read.
	const most = 4 << 10
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, most)); err != nil {
		http.Error(w, "A request that listens has no body", http.StatusRequestEntityTooLarge)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/javascript; charset=UTF-8")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would gather the lines
	return &answer{w: w, control: http.NewResponseController(w)}
}

// write sends lines on their way. It is false when the client does not take them.
// The server's own time-out is for answers that end soon: each write has one here.
func (a *answer) write(lines []byte) bool {
	a.bound()
	if _, err := a.w.Write(lines); err != nil {
		return false
	}
	a.units += units(lines)
	if a.control.Flush() != nil {
		return false
	}
	_ = a.control.SetWriteDeadline(time.Time{}) // of HTTP/2, it would end an idle stream
	return true
}

// bound limits the next write. The last one is the server's.
func (a *answer) bound() { _ = a.control.SetWriteDeadline(time.Now().Add(patience)) }

// units is how long JavaScript finds a text.
func units(text []byte) (n int) {
	for _, r := range string(text) {
		n += utf16.RuneLen(r)
	}
	return n
}
