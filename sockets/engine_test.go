package sockets

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines are all that pass these tests.
func engines() map[string]func(Config) *Engine {
	all := map[string]func(Config) *Engine{}
	for _, poller := range []string{PollerEpoll, PollerGo} {
		all[poller] = func(c Config) *Engine {
			c.Poller = poller
			return New(c)
		}
	}
	return all
}

func onEveryEngine(t *testing.T, c Config, test func(*testing.T, *server)) {
	t.Helper()
	for name, build := range engines() {
		t.Run(name, func(t *testing.T) { test(t, start(t, build(c))) })
		t.Run(name+" under TLS", func(t *testing.T) { test(t, startTLS(t, build(c), nil)) })
	}
	t.Run("porch", func(t *testing.T) { test(t, startOnPorch(t, New(c))) })
}

// startOnPorch has the upgrades answered by the loops, where there are any.
func startOnPorch(t *testing.T, e *Engine) *server {
	t.Helper()
	return startWith(t, e, func(web *httptest.Server) {
		web.Listener = e.Porch(web.Listener, PorchConfig{
			Handler: web.Config.Handler, Patience: patience, Idle: patience,
			Quick: func(*http.Request) bool { return true },
		})
		web.Start()
	})
}

// server is an engine behind net/http whose handler does what the test says.
type server struct {
	*Engine
	url       string
	roots     *x509.CertPool // nil: plain
	serverTLS *tls.Config
	conns     chan *Conn
	closed    chan int
	stop      func() // ends the engine and waits for it

	mu      sync.Mutex
	message func(*Conn, string)
	pong    func(*Conn, uint64)
}

func start(t *testing.T, e *Engine) *server {
	t.Helper()
	return startWith(t, e, (*httptest.Server).Start)
}

// startTLS serves with httptest's certificate.
func startTLS(t *testing.T, e *Engine, config *tls.Config) *server {
	t.Helper()
	roots, ours := x509.NewCertPool(), (*tls.Config)(nil)
	s := startWith(t, e, func(web *httptest.Server) {
		web.Listener, web.TLS = BelowTLS(web.Listener), config
		web.StartTLS()
		roots.AddCert(web.Certificate())
		ours = web.TLS
	})
	s.roots, s.serverTLS = roots, ours
	return s
}

func startWith(t *testing.T, e *Engine, listen func(*httptest.Server)) *server {
	t.Helper()
	s := &server{Engine: e, conns: make(chan *Conn, 2000), closed: make(chan int, 2000)}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = e.Upgrade(w, r, "proto-7", func(c *Conn) Handler {
			s.conns <- c
			return s
		})
	}))
	listen(web)
	s.url = "ws" + strings.TrimPrefix(web.URL, "http")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		web.Close()
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) OnMessage(c *Conn, p []byte) {
	s.mu.Lock()
	f := s.message
	s.mu.Unlock()
	if f != nil {
		f(c, string(p))
		return
	}
	_ = c.Send(Text(p))
}

func (s *server) OnPong(c *Conn, fence uint64) {
	s.mu.Lock()
	f := s.pong
	s.mu.Unlock()
	if f != nil {
		f(c, fence)
	}
}

func (s *server) OnClose(_ *Conn, code int) { s.closed <- code }

// peer is a client that speaks raw frames.
type peer struct {
	t *testing.T
	net.Conn
	r interface{ Read([]byte) (int, error) }
}

const patience = 10 * time.Second

func dial(t *testing.T, s *server) *peer { t.Helper(); return dialWith(t, s, s.dialer()) }

func (s *server) dialer() ws.Dialer { return ws.Dialer{TLSConfig: s.tls()} }

// tls is nil when the server is plain.
func (s *server) tls() *tls.Config {
	if s.roots == nil {
		return nil
	}
	return &tls.Config{RootCAs: s.roots, ServerName: "example.com"}
}

func dialWith(t *testing.T, s *server, d ws.Dialer) *peer {
	t.Helper()
	conn, early, _, err := d.Dial(context.Background(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &peer{t: t, Conn: conn, r: conn}
	if early != nil {
		p.r = early
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return p
}

func (p *peer) send(f ws.Frame) {
	p.t.Helper()
	p.raw(ws.MustCompileFrame(ws.MaskFrame(f)))
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) say(text string) { p.t.Helper(); p.send(ws.NewTextFrame([]byte(text))) }

func (p *peer) frame() ws.Frame {
	p.t.Helper()
	h, err := ws.ReadHeader(p.r)
	if err != nil {
		p.t.Fatalf("read a frame: %v", err)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	for n := 0; n < len(f.Payload); {
		m, err := p.r.Read(f.Payload[n:])
		if n += m; err != nil && n < len(f.Payload) {
			p.t.Fatalf("read a payload: %v", err)
		}
	}
	return f
}

func (p *peer) hear(want string) {
	p.t.Helper()
	if f := p.frame(); f.Header.OpCode != ws.OpText || string(f.Payload) != want {
		p.t.Fatalf("heard %v %q, want %q", f.Header.OpCode, f.Payload, want)
	}
}

// hearClose reads up to a close frame and gives its code.
func (p *peer) hearClose() int {
	p.t.Helper()
	for {
		if f := p.frame(); f.Header.OpCode == ws.OpClose {
			return codeOf(f.Payload)
		}
	}
}

// hearEnd expects the end of the stream.
func (p *peer) hearEnd() {
	p.t.Helper()
	if n, err := p.r.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		p.t.Fatalf("the stream goes on: %d bytes, %v", n, err)
	}
}

func wait[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// A stream that is adopted speaks WebSocket from its first byte.
func TestAdopt(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		near, far := net.Pipe()
		if err := s.Adopt(near, func(*Conn) Handler { return s }); err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, Conn: far, r: far}
		_ = far.SetDeadline(time.Now().Add(patience))
		p.say("hello")
		p.hear("hello")
		_ = far.Close()
		if got := wait(t, "OnClose", s.closed); got != CodeAbnormal {
			t.Errorf("OnClose heard %d", got)
		}
		s.stop()
		near, _ = net.Pipe()
		if err := s.Adopt(near, func(*Conn) Handler { return s }); !errors.Is(err, ErrStopped) {
			t.Errorf("a stopped engine says %v", err)
		}
	})
}
