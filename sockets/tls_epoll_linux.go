package sockets

import (
	"crypto/tls"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// tlsSide is the TLS of an epollLink: crypto/tls as a machine that turns bytes
// into bytes. Below the session there is no socket but this: what the loop has
// read for it, and the descriptor or else a rest in memory for what it writes, so
// that neither ever waits.
//
// A read for which there is nothing yet is one whose deadline has passed: a
// session goes on after that, even in the middle of a record (tls.Conn,
// SetReadDeadline). A write never fails for want of room, for that a session
// would not survive. All of it happens with Conn.mu held.
type tlsSide struct {
	link    *epollLink
	session *tls.Conn
	came    []byte // from the peer, not yet read by the session; in the loop's buffer
	rest    []byte // to the peer, not yet taken by the kernel
	last    bool   // end our half of the stream behind the rest
}

// takeTLS exchanges what is below the session.
func takeTLS(l *epollLink, session *tls.Conn) *tlsSide {
	t := &tlsSide{link: l, session: session}
	session.NetConn().(*seam).Conn = t
	return t
}

// mostPlain is what goes into one TLS record (RFC 8446 §5.1).
const mostPlain = 16 << 10

// attempt is epollLink.attempt. What it takes is sealed and out of the sender's
// hands, though up to a record of it may be in the rest.
func (t *tlsSide) attempt(p []byte) (n int, err error) {
	for n < len(p) && len(t.rest) == 0 && err == nil {
		var taken int
		taken, err = t.session.Write(p[n:min(len(p), n+mostPlain)])
		n += taken
	}
	return n, err
}

// drain writes the rest, and then of the backlog what fits a buffer, so that
// small pieces share a record. It tells how much of the backlog it took.
func (t *tlsSide) drain(buffer []byte, backlog net.Buffers) (int, error) {
	if len(t.rest) > 0 {
		n, err := t.link.write(t.rest)
		if t.rest = t.rest[n:]; err != nil || len(t.rest) > 0 {
			return 0, err
		}
		t.rest = nil
		t.finish()
	}
	n := 0
	for _, piece := range backlog {
		if n == len(buffer) {
			break
		}
		n += copy(buffer[n:], piece)
	}
	return t.attempt(buffer[:n])
}

// closeWrite ends our half of the stream, with close_notify.
func (t *tlsSide) closeWrite() {
	_ = t.session.CloseWrite()
	t.last = true
	t.finish()
}

func (t *tlsSide) finish() {
	if t.last && len(t.rest) == 0 {
		_ = unix.Shutdown(t.link.fd, unix.SHUT_WR)
	}
}

// open hands on all that the session can read. It is false at the connection's end,
// but not before what was asked to be done apart: the session says so again.
func (t *tlsSide) open(s *scratch, take func(*scratch, []byte) bool) bool {
	for {
		n, err := t.read(s.buffer[:])
		if n > 0 && !take(s, s.buffer[:n]) {
			return false
		}
		if err != nil {
			return os.IsTimeout(err) || t.link.conn.apart != nil
		}
	}
}

// read may write too: an alert, or the answer to a KeyUpdate.
func (t *tlsSide) read(p []byte) (int, error) {
	c := t.link.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == dead {
		return 0, net.ErrClosed
	}
	return t.session.Read(p)
}

// Read implements net.Conn for the session.
func (t *tlsSide) Read(p []byte) (int, error) {
	if len(t.came) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, t.came)
	t.came = t.came[n:]
	return n, nil
}

// Write implements net.Conn for the session. It fails when the connection is
// broken, or when a peer that does not read has brought too much upon itself.
func (t *tlsSide) Write(p []byte) (n int, err error) {
	if len(t.rest) == 0 {
		if n, err = t.link.write(p); err != nil || n == len(p) {
			return n, err
		}
	}
	first := len(t.rest) == 0
	if t.rest = append(t.rest, p[n:]...); len(t.rest) > t.link.conn.engine.config.Backlog+2*mostPlain {
		return n, ErrSlow
	}
	if first {
		t.link.rearm()
	}
	return len(p), nil
}

// The rest of net.Conn: the link closes, the wheel keeps the time.

// Close implements net.Conn.
func (t *tlsSide) Close() error { return nil }

// LocalAddr implements net.Conn.
func (t *tlsSide) LocalAddr() net.Addr { return nil }

// RemoteAddr implements net.Conn.
func (t *tlsSide) RemoteAddr() net.Addr { return t.link.remote() }

// SetDeadline implements net.Conn.
func (t *tlsSide) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (t *tlsSide) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (t *tlsSide) SetWriteDeadline(time.Time) error { return nil }
