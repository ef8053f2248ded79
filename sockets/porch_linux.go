package sockets

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// porch is a listener that gives only the clients that are shown in.
type porch struct {
	*net.TCPListener
	config    PorchConfig
	engine    *Engine
	begin     sync.Once
	accepting sync.WaitGroup
	closed    chan struct{}
	close     sync.Once

	// Of begin, and unset where there is no poller.
	poller *epollPoller
	file   *os.File // a duplicate of the listener's descriptor
	raw    syscall.RawConn
	heirs  bool // who comes now has the listener's options; known to accept only

	mu    sync.Mutex
	shown []shown // and not fetched by Accept
	more  chan struct{}
}

// shown is what Accept gives.
type shown struct {
	conn net.Conn
	err  error
}

func (e *Engine) porch(l net.Listener, c PorchConfig) net.Listener {
	tcp, ok := l.(*net.TCPListener)
	if !ok || e.config.Poller == PollerGo {
		return l
	}
	return &porch{TCPListener: tcp, config: c, engine: e, closed: make(chan struct{}), more: make(chan struct{}, 1)}
}

// Accept waits for the next client that is shown in. The first call opens the door.
func (p *porch) Accept() (net.Conn, error) {
	p.begin.Do(func() {
		if err := p.open(); err != nil {
			p.accepting.Go(p.showAll)
			return
		}
		p.accepting.Go(p.accept)
	})
	for {
		if next, ok := p.next(); ok {
			return next.conn, next.err
		}
		select {
		case <-p.more:
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// open takes the listener's descriptor into Go's poller a second time, for its own
// accept makes more of a connection than a guest needs.
func (p *porch) open() (err error) {
	poller, ok := p.engine.openPoller().(*epollPoller)
	if !ok {
		return ErrStopped
	}
	file, err := p.File()
	if err != nil {
		return err
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // fails if Go's poller did not take it
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	p.poller, p.file, p.raw = poller, file, raw
	return nil
}

// showAll is for the case that there is no poller.
func (p *porch) showAll() {
	for {
		conn, err := p.TCPListener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.show(conn, err)
	}
}

func (p *porch) next() (next shown, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.shown) == 0 {
		p.shown = nil
		return next, false
	}
	next, p.shown = p.shown[0], p.shown[1:]
	return next, true
}

// show passes a client on, or the reason why one could not be let in.
func (p *porch) show(conn net.Conn, err error) {
	p.mu.Lock()
	p.shown = append(p.shown, shown{conn, err})
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default: // Accept has been woken and looks for all
	}
}

// Close lets nobody in any more and sends away who is on the porch.
func (p *porch) Close() error {
	err := p.TCPListener.Close()
	p.close.Do(func() {
		p.begin.Do(func() {}) // nobody begins any more
		close(p.closed)
		if p.file != nil {
			_ = p.file.Close()
		}
		p.accepting.Wait()
		if p.poller != nil {
			for _, s := range p.poller.shards {
				s.dismiss(func(g *guest) bool { return g.porch == p })
			}
		}
		for next, ok := p.next(); ok; next, ok = p.next() {
			if next.conn != nil {
				_ = next.conn.Close()
			}
		}
	})
	return err
}

// accept lets clients onto the porch until it is closed.
func (p *porch) accept() {
	var fault error
	rest := acceptRest
	passesOn := false
	_ = p.raw.Control(func(fd uintptr) { passesOn = tune(int(fd), p.engine.config) })
	let := func(fd uintptr) bool {
		for range turn {
			if fault = p.welcome(int(fd)); errors.Is(fault, unix.EAGAIN) {
				p.heirs = passesOn // all have been let in who came before it had them
				return false
			} else if fault != nil {
				return true
			}
			rest = acceptRest
		}
		return true
	}
	for p.raw.Read(let) == nil {
		if fault == nil || errors.Is(fault, unix.ECONNABORTED) || errors.Is(fault, unix.EINTR) {
			continue
		}
		p.show(nil, &net.OpError{Op: "accept", Net: "tcp", Addr: p.Addr(), Err: os.NewSyscallError("accept4", fault)})
		select { // out of descriptors, most likely
		case <-time.After(rest):
			rest = min(2*rest, time.Second)
		case <-p.closed:
		}
	}
}

// acceptRest is the first pause after a client could not be accepted.
const acceptRest = 5 * time.Millisecond

func (p *porch) welcome(listener int) error {
	// unix.Accept4 would ask the kernel once more, for the protocol of the address.
	fd, from, err := syscall.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	if !p.heirs {
		tune(fd, p.engine.config)
	}
	s := p.poller.shards[fd%len(p.poller.shards)]
	g := &guest{porch: p, shard: s, fd: fd, from: from, since: p.engine.wheel.now.Load()}
	if err := s.register(g, fd); err != nil {
		_ = unix.Close(fd)
		return err
	}
	return nil
}
