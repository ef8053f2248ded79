package fallback

import (
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone/sockets"
)

// This file is the engine's side of a session: the stream that it reads a
// client's frames from and writes its own to.

var _ net.Conn = (*session)(nil)

// mostSaid and mostTold bound the bytes that wait on the way up and on the way
// down; then whoever brings more waits. On the way down that is the engine, whose
// own bound decides that a client is too slow.
const (
	mostSaid = 64 << 10
	mostTold = 64 << 10
)

// Read gives the engine what the client has said.
func (s *session) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.said) == 0 && !s.shut && !s.unread {
		s.changed.Wait()
	}
	if s.shut || s.unread {
		return 0, io.EOF
	}
	n := copy(p, s.said)
	if s.said = s.said[n:]; len(s.said) == 0 {
		s.said = nil
	}
	s.changed.Broadcast()
	return n, nil
}

// Write takes frames of the engine's. It waits while too much lies here.
func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting >= mostTold && !s.shut && !s.gone {
		s.changed.Wait()
	}
	switch {
	case s.shut:
		return 0, io.ErrClosedPipe
	case s.gone:
		return len(p), nil // to nobody: the engine has been told
	}
	s.torn = append(s.torn, p...)
	for {
		f, rest, ok := cut(s.torn)
		if !ok {
			break
		}
		s.torn = rest
		s.hear(f)
	}
	if len(s.torn) == 0 {
		s.torn = nil
	}
	s.changed.Broadcast()
	return len(p), nil
}

// hear keeps a frame for the client. s.mu is held.
func (s *session) hear(f frame) {
	switch f.op {
	case ws.OpText:
		s.told = append(s.told, item{text: f.payload})
		s.waiting += len(f.payload)
	case ws.OpPing:
		s.told = append(s.told, item{ping: f.payload})
		s.waiting += len(pingEvent)
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(f.payload)
		s.finish(int(code), reason)
		s.said = appendFrame(s.said, ws.OpClose, f.payload)
	}
}

// Close is the engine's end of the stream. Why it has ended, ended will say.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	if s.deadline != nil {
		s.deadline.Stop()
	}
	s.changed.Broadcast()
	return nil
}

// ear is a connection's handler, and tells its session of the end too.
type ear struct {
	sockets.Handler
	session *session
}

// OnClose implements sockets.Handler.
func (e ear) OnClose(c *sockets.Conn, code int) {
	e.Handler.OnClose(c, code)
	e.session.ended(code)
}

// ended hears how the connection has ended. Where a close frame came before, the
// client is told what stood in that.
func (s *session) ended(code int) {
	reason := "The connection broke"
	switch code {
	case sockets.CodeSlow:
		reason = "The client reads too slowly"
	case sockets.CodeDead:
		reason = "Pong reply not received in time"
	case sockets.CodeGoingAway:
		reason = "The server has stopped"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(code, reason)
	s.changed.Broadcast()
}

// inProcess is the address of both ends.
type inProcess struct{}

func (inProcess) Network() string { return "http" }
func (inProcess) String() string  { return "fallback" }

// LocalAddr implements net.Conn.
func (s *session) LocalAddr() net.Addr { return inProcess{} }

// RemoteAddr implements net.Conn.
func (s *session) RemoteAddr() net.Addr { return inProcess{} }

// SetDeadline implements net.Conn.
func (s *session) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn. The engine sets one in the past, to read no
// more from a connection that it ends.
func (s *session) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = !t.IsZero() && t.Before(time.Now())
	s.changed.Broadcast()
	return nil
}

// SetWriteDeadline implements net.Conn. The engine sets one for the last words of a
// connection that it ends.
func (s *session) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline != nil {
		s.deadline.Stop()
	}
	if !t.IsZero() {
		s.deadline = time.AfterFunc(time.Until(t), func() { _ = s.Close() })
	}
	return nil
}
