package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/diaphone-dev/diaphone/sim/fcm"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

const (
	protoH2    = "h2"
	protoHTTP1 = "http/1.1"

	// helloTimeout bounds how long a connection may stay silent, and its TLS
	// handshake.
	helloTimeout = 10 * time.Second
	// stopTimeout is how long requests in flight have when Serve is told to end.
	stopTimeout = 2 * time.Second
	// acceptPause is the wait for descriptors when there are none left.
	acceptPause = 50 * time.Millisecond
	// tlsHandshake is the first byte of a TLS connection (RFC 8446 section 5.1).
	tlsHandshake = 0x16
)

// Serve serves everything on all listeners until ctx ends. Then it closes them,
// sends GOAWAY, lets requests in flight finish within two seconds, and returns
// when all its goroutines have ended: nil, or why a listener failed before. It
// can be called once.
func (s *Sim) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("sim: Serve needs a listener")
	}
	if s.served.Swap(true) {
		return ErrServed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &door{sim: s, plain: newHandover(listeners[0].Addr())}
	server := s.httpServer(ctx)

	var running, accepting sync.WaitGroup
	running.Go(func() { _ = server.Serve(d.plain) }) // ends by Shutdown below
	for _, l := range listeners {
		accepting.Go(func() { cancel(d.accept(ctx, l)) })
	}
	<-ctx.Done()
	for _, l := range listeners {
		l.Close() //nolint:errcheck // it only has to stop
	}
	accepting.Wait()
	d.stop()

	grace, release := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer release()
	running.Go(func() { s.apns.Shutdown(grace) })
	if server.Shutdown(grace) != nil {
		server.Close() //nolint:errcheck // it only has to end
	}
	d.conns.Wait()
	s.push.Wait()
	running.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (s *Sim) httpServer(ctx context.Context) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s.handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: helloTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       fcm.ConnContext,
		ErrorLog:          log.New(io.Discard, "", 0), // a client that hangs up is no news here
	}
}

// door tells the connections of all listeners apart by their first byte.
type door struct {
	sim   *Sim
	plain *handover
	conns sync.WaitGroup

	mu      sync.Mutex
	greeted map[net.Conn]struct{} // said nothing decisive yet
	stopped bool
}

// accept hands over connections until l is closed or broken. It returns nil if
// ctx ended, which is why l was closed. For want of descriptors it tries again.
func (d *door) accept(ctx context.Context, l net.Listener) error {
	env := phone.Production
	if l.Addr().String() == d.sim.sandbox {
		env = phone.Sandbox
	}
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // told to stop, which is why the listener is closed
			}
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				pause(ctx, acceptPause)
				continue
			}
			return err
		}
		if d.greet(c) {
			d.conns.Go(func() { d.open(ctx, c, env) })
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// greet notes a connection, so that stop can close it while it is undecided.
func (d *door) greet(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		c.Close() //nolint:errcheck // nothing was said yet
		return false
	}
	if d.greeted == nil {
		d.greeted = map[net.Conn]struct{}{}
	}
	d.greeted[c] = struct{}{}
	return true
}

func (d *door) decided(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.greeted, c)
}

func (d *door) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for c := range d.greeted {
		c.Close() //nolint:errcheck // nothing was said yet
	}
}

func (d *door) open(ctx context.Context, c net.Conn, env phone.Environment) {
	first := make([]byte, 1)
	_ = c.SetDeadline(time.Now().Add(helloTimeout))
	if _, err := io.ReadFull(c, first); err != nil {
		d.decided(c)
		c.Close() //nolint:errcheck // it said nothing
		return
	}
	pc := &prefixConn{Conn: c, prefix: first}
	if first[0] != tlsHandshake {
		_ = c.SetDeadline(time.Time{})
		d.decided(c)
		d.plain.give(pc)
		return
	}
	tc := tls.Server(pc, d.sim.tls)
	err := tc.HandshakeContext(ctx)
	d.decided(c)
	if err != nil {
		c.Close() //nolint:errcheck // the alert is out already
		return
	}
	_ = c.SetDeadline(time.Time{})
	state := tc.ConnectionState()
	// A client of Google's that insists on TLS is told apart by the name it asks
	// for; APNs has no HTTP/1.1 to fall back to.
	if state.NegotiatedProtocol == protoH2 && !strings.HasSuffix(state.ServerName, ".googleapis.com") {
		d.sim.apns.ServeConn(tc, env)
		return
	}
	d.plain.give(tc)
}

// prefixConn gives back the byte that was read to look at it.
type prefixConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixConn) Read(p []byte) (int, error) {
	if len(c.prefix) > 0 && len(p) > 0 {
		n := copy(p, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// handover is the listener of the HTTP server: it accepts what it is given.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		c.Close() //nolint:errcheck // nobody serves it any more
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }
