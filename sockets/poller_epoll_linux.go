package sockets

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/diaphone-dev/diaphone/internal/h1"
)

// epollPoller serves connections by few loops instead of a goroutine each: no
// stack, no buffer and no timer of their own while they are silent.
type epollPoller struct {
	engine *Engine
	shards []*shard
}

// shard is one loop and the connections that it alone reads from and closes.
//
// The epoll descriptor is itself in Go's poller, so the loop is a goroutine that
// is parked while nothing happens. It keeps no thread in a system call, and on
// one core it takes its turn like any other goroutine.
type shard struct {
	file     *os.File // the epoll descriptor
	raw      syscall.RawConn
	epoll    int
	done     chan struct{}
	scratch  scratch       // shared by all connections of the shard
	sealed   [8 << 10]byte // as its buffer, for what TLS has yet to open
	requests h1.Reader
	writer   guestWriter
	answers  []byte // to requests of the guest that is served

	mu         sync.Mutex
	residents  []resident // by descriptor
	guests     map[*guest]struct{}
	generation uint32 // of the last that was registered
}

// resident is who has a descriptor of a shard: a connection's link or a guest.
type resident interface {
	// born gives it the number that tells apart who has had the descriptor, and age
	// asks for it. interest is what the loop is to hear of it. shard.mu is held.
	born(generation uint32)
	age() uint32
	interest() *unix.EpollEvent
	// serve handles what has happened. Only the loop calls it.
	serve(happened uint32)
}

// turn is how many connections are served before other goroutines have theirs.
const turn = 64

// newPoller gives nil when the kernel refuses: goroutines do the work then.
func newPoller(e *Engine) poller {
	p := &epollPoller{engine: e}
	for range runtime.GOMAXPROCS(0) {
		s, err := newShard()
		if err != nil {
			p.stop()
			return nil
		}
		p.shards = append(p.shards, s)
		go s.loop()
	}
	return p
}

func newShard() (*shard, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// Go's poller takes descriptors that do not block; epoll's own waits for
	// nothing here either.
	_ = unix.SetNonblock(fd, true)
	s := &shard{file: os.NewFile(uintptr(fd), "epoll"), epoll: fd, done: make(chan struct{}), guests: map[*guest]struct{}{}}
	s.raw, err = s.file.SyscallConn()
	if err == nil {
		err = s.file.SetReadDeadline(time.Time{}) // fails if Go's poller did not take it
	}
	if err != nil {
		_ = s.file.Close()
		return nil, err
	}
	return s, nil
}

func (p *epollPoller) sweep(now int64) {
	for _, s := range p.shards {
		s.dismiss(func(g *guest) bool { return g.overdue(now) })
	}
}

func (p *epollPoller) stop() {
	for _, s := range p.shards {
		_ = s.file.Close() // ends the loop
		<-s.done
		for g := range s.guests {
			_ = unix.Close(g.fd)
		}
	}
}

// take makes the descriptor ours: a duplicate of it, for net.Conn gives its own
// only to close it.
func (p *epollPoller) take(c *Conn, sock *net.TCPConn, session *tls.Conn) (read func(early []byte)) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	var refused error
	err = raw.Control(func(from uintptr) { fd, refused = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || refused != nil {
		return nil
	}
	_ = sock.Close()
	tune(fd, p.engine.config)
	l := &epollLink{conn: c, shard: p.shards[fd%len(p.shards)], fd: fd}
	if session != nil {
		l.tls = takeTLS(l, session)
	}
	c.link, c.place = l, fd
	return l.read
}

// loop serves the shard until its epoll descriptor is closed.
func (s *shard) loop() {
	defer close(s.done)
	events := make([]unix.EpollEvent, turn)
	ready := make([]resident, turn)
	n := 0
	wait := func(fd uintptr) bool {
		var err error
		n, err = unix.EpollWait(int(fd), events, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	}
	for s.raw.Read(wait) == nil {
		n = max(n, 0)
		s.find(events[:n], ready)
		for i, r := range ready[:n] {
			if r != nil {
				r.serve(events[i].Events)
			}
			ready[i] = nil
		}
		if n == turn {
			runtime.Gosched()
		}
	}
}

// find gives the residents that events are about; nil for one whose descriptor has
// been given to another since.
func (s *shard) find(events []unix.EpollEvent, found []resident) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range events {
		if r := s.residents[e.Fd]; r != nil && r.age() == uint32(e.Pad) {
			found[i] = r
		}
	}
}

func (l *epollLink) serve(happened uint32) {
	c := l.conn
	if l.gone {
		return
	}
	if happened&unix.EPOLLOUT != 0 {
		c.mu.Lock()
		l.drain()
		c.mu.Unlock()
	}
	if happened&^unix.EPOLLOUT == 0 {
		return
	}
	l.goOn(l.shard.receive(l))
}

// goOn is what follows after bytes have been handled in the loop.
func (l *epollLink) goOn(alive bool) {
	switch {
	case !alive:
		l.shard.bury(l)
	case l.conn.apart != nil:
		l.shard.release(l)
		go l.read(nil)
	}
}

// receive reads once: epoll is level-triggered, so what is left comes in the
// next turn, after the others. That, and the size of the buffer, bound how long
// one connection keeps the others waiting. It is false at the connection's end.
func (s *shard) receive(l *epollLink) bool {
	if l.conn.isDead() {
		return false
	}
	buffer := s.scratch.buffer[:]
	if l.tls != nil {
		buffer = s.sealed[:]
	}
	n, err := unix.Read(l.fd, buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return true
	case err != nil, n == 0:
		return false
	case l.tls != nil:
		l.tls.came = buffer[:n]
		return l.tls.open(&s.scratch, l.conn.take)
	}
	return l.conn.take(&s.scratch, buffer[:n])
}

// register lets the loop see a resident under its descriptor.
func (s *shard) register(r resident, fd int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.residents) <= fd {
		s.residents = append(s.residents, nil)
	}
	s.generation++
	r.born(s.generation)
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, r.interest()); err != nil {
		return err
	}
	s.residents[fd] = r
	if g, ok := r.(*guest); ok {
		s.guests[g] = struct{}{}
	}
	return nil
}

// inherit lets the loop see a link under the descriptor and the number of the guest
// that it was: the kernel need not hear of it. link.conn.mu is held.
func (s *shard) inherit(link *epollLink) {
	s.mu.Lock()
	link.registered = true
	s.residents[link.fd] = link
	s.mu.Unlock()
	if link.waits() {
		link.flush(link.conn)
	}
}

// release is the opposite of register.
func (s *shard) release(l *epollLink) {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	s.forget(l)
	if l.conn.state == dead { // it could only say so to the loop
		_ = unix.Close(l.fd)
	}
}

// forget takes a link off the books, and out of the epoll: it would stay there if
// a child process held a copy of the descriptor. l.conn.mu is held.
func (s *shard) forget(l *epollLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.residents[l.fd] = nil
	l.registered = false
	_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, l.fd, nil)
}

// bury ends a connection. Nobody else closes a descriptor that is registered,
// and nobody uses one without the connection's lock but this loop: a number that
// the kernel gives away again cannot be met under its old name.
func (s *shard) bury(l *epollLink) {
	c := l.conn
	c.mu.Lock()
	c.die(CodeAbnormal)
	l.gone = true
	s.forget(l)
	_ = unix.Close(l.fd)
	if c.out.flushing {
		c.flushed()
	}
	c.mu.Unlock()
	c.finish()
}
