package sockets

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// guestWriter is the http.ResponseWriter of a loop, one answer after the other.
type guestWriter struct {
	guest    *guest
	early    []byte // what has come behind the request
	header   http.Header
	status   int // 0: not written yet
	body     []byte
	hijacked bool
	date     []byte // as a header line, of the second below
	second   int64
}

func (w *guestWriter) begin(g *guest, early []byte) {
	if w.header == nil {
		w.header = http.Header{}
	}
	clear(w.header)
	w.guest, w.early, w.status, w.body, w.hijacked = g, early, 0, w.body[:0], false
}

// handle is false when the handler has panicked: then nobody knows how far it came.
func (w *guestWriter) handle(h http.Handler, r *http.Request) (done bool) {
	defer func() {
		if recover() != nil {
			done = false
		}
		w.guest, w.early = nil, nil
	}()
	h.ServeHTTP(w, r)
	return true
}

// Header implements http.ResponseWriter.
func (w *guestWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *guestWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *guestWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

// appendTo appends the answer as it goes over the wire.
func (w *guestWriter) appendTo(p []byte) []byte {
	w.WriteHeader(http.StatusOK)
	p = append(p, "HTTP/1.1 "...)
	p = strconv.AppendInt(p, int64(w.status), 10)
	p = append(append(append(p, ' '), http.StatusText(w.status)...), "\r\n"...)
	if _, told := w.header["Content-Type"]; !told && len(w.body) > 0 {
		w.header.Set("Content-Type", http.DetectContentType(w.body))
	}
	delete(w.header, "Content-Length")
	for name, values := range w.header {
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n") {
				continue // would be read as another field
			}
			p = append(append(append(append(p, name...), ": "...), value...), "\r\n"...)
		}
	}
	p = append(p, w.dateLine()...)
	p = append(p, "Content-Length: "...)
	p = strconv.AppendInt(p, int64(len(w.body)), 10)
	p = append(p, "\r\n\r\n"...)
	return append(p, w.body...)
}

// dateLine is made once a second.
func (w *guestWriter) dateLine() []byte {
	now := time.Now()
	if second := now.Unix(); second != w.second {
		w.second = second
		w.date = append(now.UTC().AppendFormat(append(w.date[:0], "Date: "...), http.TimeFormat), "\r\n"...)
	}
	return w.date
}

// Hijack implements http.Hijacker. What is read first is what came behind the request.
func (w *guestWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.guest == nil || w.hijacked || w.status != 0 {
		return nil, nil, http.ErrHijacked
	}
	w.hijacked = true
	if !w.guest.reply() { // to what came before: its descriptor may be a stranger's by now
		return nil, nil, net.ErrClosed
	}
	sock := &guestSock{guest: w.guest}
	early := bufio.NewReaderSize(strings.NewReader(string(w.early)), max(len(w.early), 16))
	_, _ = early.Peek(len(w.early)) // fills it
	return sock, bufio.NewReadWriter(early, bufio.NewWriterSize(sock, 16)), nil
}

// guestSock is a guest's connection as Engine.Upgrade sees it, to adopt it or to
// refuse it.
type guestSock struct{ guest *guest }

var errLoop = errors.New("sockets: the loop reads this connection")

func (s *guestSock) Read([]byte) (int, error) { return 0, errLoop }

func (s *guestSock) Write(p []byte) (int, error) {
	s.guest.shard.answers = append(s.guest.shard.answers, p...)
	if !s.guest.reply() {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// Close leaves the closing to the loop.
func (s *guestSock) Close() error                     { return nil }
func (s *guestSock) LocalAddr() net.Addr              { return s.guest.porch.Addr() }
func (s *guestSock) RemoteAddr() net.Addr             { return addrOf(s.guest.from) }
func (s *guestSock) SetDeadline(time.Time) error      { return nil }
func (s *guestSock) SetReadDeadline(time.Time) error  { return nil }
func (s *guestSock) SetWriteDeadline(time.Time) error { return nil }

// adopt makes the guest a WebSocket under the same descriptor.
func (s *guestSock) adopt(c *Conn) (read func(early []byte)) {
	g := s.guest
	g.shard.part(g, false)
	l := &epollLink{conn: c, shard: g.shard, fd: g.fd, generation: g.generation}
	c.link, c.place = l, g.fd
	return l.enter
}
