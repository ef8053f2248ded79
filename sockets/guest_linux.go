package sockets

import (
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// guest is a client on the porch: a connection on which requests of HTTP come that
// are answered at once. Its fields are the loop's own, but for those that shard.mu
// guards.
type guest struct {
	porch *porch
	shard *shard
	fd    int
	from  syscall.Sockaddr
	name  string // from, as text; empty: not asked for yet
	rest  []byte // of a request that has not come whole
	parts int    // in which it has come so far

	generation uint32 // guarded by shard.mu, as the next two
	since      int64  // the tick since which it has been waited for
	idle       bool   // no request is under way
	gone       bool   // closed, shown in or adopted; what the loop still hears is about nobody
}

// maxQuick bounds a request that is answered on the porch. Larger ones are for
// net/http, which takes its time; so are those that come in more than maxParts reads,
// for each has all that came before looked at again.
const (
	maxQuick = 64 << 10
	maxParts = 16
)

func (g *guest) born(generation uint32) { g.generation = generation }
func (g *guest) age() uint32            { return g.generation }

func (g *guest) interest() *unix.EpollEvent {
	return &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(g.fd), Pad: int32(g.generation)}
}

// serve reads once and answers all requests that have come whole.
func (g *guest) serve(uint32) {
	if g.gone {
		return
	}
	select {
	case <-g.porch.closed: // what is still in the kernel is not carried out: its answer would not arrive
		g.leave()
		return
	default:
	}
	buffer := g.shard.scratch.buffer[:]
	n, err := unix.Read(g.fd, buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil, n == 0:
		g.leave()
		return
	}
	p := buffer[:n]
	if len(g.rest) > 0 {
		p = append(g.rest, p...)
		g.rest = nil
	}
	g.parts++
	for len(p) > 0 {
		r, n, err := g.shard.requests.Read(p, maxQuick)
		if err == nil && n == 0 && g.parts < maxParts {
			break
		}
		if err != nil || n == 0 || !g.porch.config.Quick(r) {
			if g.reply() {
				g.showIn(p)
			}
			return
		}
		p, g.parts = p[n:], 0
		if !g.answer(r, p) {
			return
		}
	}
	if g.reply() {
		g.keep(p)
	}
}

// keep notes what is waited for: the rest of a request, or the next one. The time for
// a request counts from its first bytes.
func (g *guest) keep(p []byte) {
	if len(p) > 0 {
		g.rest = append([]byte(nil), p...)
	}
	g.shard.mu.Lock()
	begun := g.parts == 0 || g.idle
	if g.idle = len(p) == 0; begun {
		g.since = g.porch.engine.wheel.now.Load()
	}
	g.shard.mu.Unlock()
	if begun && len(p) > 0 {
		g.parts = 1
	}
}

// answer has the handler answer a request. It is false when the guest is no more:
// it has become a WebSocket, or its connection is of no more use.
func (g *guest) answer(r *http.Request, early []byte) bool {
	if g.name == "" {
		g.name = addrOf(g.from).String()
	}
	r.RemoteAddr = g.name
	w := &g.shard.writer
	w.begin(g, early)
	if !w.handle(g.porch.config.Handler, r) {
		g.shard.answers = g.shard.answers[:0] // nobody else's
		g.leave()
		return false
	}
	if w.hijacked {
		g.leave() // unless it has been adopted
		return false
	}
	g.shard.answers = w.appendTo(g.shard.answers)
	return true
}

// reply sends the answers. A client that leaves so little of them untaken reads
// none, and is sent away.
func (g *guest) reply() bool {
	answers := g.shard.answers
	if len(answers) == 0 {
		return true
	}
	g.shard.answers = answers[:0]
	n, err := unix.Write(g.fd, answers)
	if err != nil || n < len(answers) {
		g.leave()
		return false
	}
	return true
}

// leave closes the connection.
func (g *guest) leave() {
	if g.gone {
		return
	}
	g.shard.part(g, true)
	_ = unix.Close(g.fd)
}

// showIn gives the connection to net/http, with what has come of it.
func (g *guest) showIn(early []byte) {
	g.shard.part(g, true)
	file := os.NewFile(uintptr(g.fd), "tcp")
	conn, err := net.FileConn(file) // has a duplicate of the descriptor
	_ = file.Close()
	if err != nil {
		g.porch.show(nil, err)
		return
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		_ = conn.Close()
		return
	}
	g.porch.show(&shownIn{Conn: tcp, tcp: tcp, early: append([]byte(nil), early...)}, nil)
}

// shownIn is a connection some of whose bytes have been read.
type shownIn struct {
	net.Conn
	tcp   *net.TCPConn
	early []byte
}

// Read implements net.Conn.
func (s *shownIn) Read(p []byte) (int, error) {
	if len(s.early) == 0 {
		return s.tcp.Read(p)
	}
	n := copy(p, s.early)
	if s.early = s.early[n:]; len(s.early) == 0 {
		s.early = nil
	}
	return n, nil
}

// CloseWrite is what net/http ends a connection with whose request it has not read.
func (s *shownIn) CloseWrite() error { return s.tcp.CloseWrite() }

// plain gives what is under it, once all of early has been read.
func (s *shownIn) plain() (*net.TCPConn, bool) { return s.tcp, len(s.early) == 0 }

// part takes a guest off the books; out of the epoll too, unless its descriptor
// stays there for another.
func (s *shard) part(g *guest, out bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.gone = true
	delete(s.guests, g)
	s.residents[g.fd] = nil
	if out {
		_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, g.fd, nil)
	}
}

// dismiss ends the guests that are chosen: their loop hears of it and closes them.
func (s *shard) dismiss(choose func(*guest) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.guests {
		if choose(g) {
			_ = unix.Shutdown(g.fd, unix.SHUT_RDWR)
		}
	}
}

// overdue tells whether a guest has been waited for in vain.
func (g *guest) overdue(now int64) bool {
	w := &g.porch.engine.wheel
	if g.idle {
		return now-g.since > w.ticks(g.porch.config.Idle)
	}
	return now-g.since > w.ticks(g.porch.config.Patience)
}
