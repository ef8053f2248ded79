package sockets

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// versions of TLS that are spoken.
var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// onTLS runs an epoll engine under each version; dial gives clients whose sockets
// can be tampered with.
func onTLS(t *testing.T, c Config, test func(t *testing.T, s *server, dial func(wrap func(net.Conn) net.Conn) *peer)) {
	c.Poller = PollerEpoll
	for name, version := range versions {
		t.Run("TLS "+name, func(t *testing.T) {
			s := startTLS(t, New(c), &tls.Config{MaxVersion: version})
			test(t, s, func(wrap func(net.Conn) net.Conn) *peer {
				d := s.dialer()
				if wrap != nil {
					d.NetDial = dialThrough(wrap)
				}
				return dialWith(t, s, d)
			})
		})
	}
}

func dialThrough(wrap func(net.Conn) net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		sock, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			sock = wrap(sock)
		}
		return sock, err
	}
}

// A session under TLS is the loop's too, and costs no goroutine.
func TestTLSNeedsNoGoroutines(t *testing.T) {
	onTLS(t, Config{}, func(t *testing.T, s *server, _ func(func(net.Conn) net.Conn) *peer) { needNoGoroutines(t, s) })
}

// torn sends its bytes in pieces, each long enough after the one before that the
// server has to stop in the middle of a record.
type torn struct {
	net.Conn
	on   bool
	size int
}

func (c *torn) Write(p []byte) (int, error) {
	if !c.on {
		return c.Conn.Write(p)
	}
	for piece := range slices.Chunk(p, c.size) {
		if _, err := c.Conn.Write(piece); err != nil {
			return 0, err
		}
		runtime.Gosched()
	}
	return len(p), nil
}

func TestTornRecords(t *testing.T) {
	onTLS(t, Config{}, func(_ *testing.T, _ *server, dial func(func(net.Conn) net.Conn) *peer) {
		for _, size := range []int{1, 4, 5, 6, 29, 1000, 9000} {
			var cut *torn
			p := dial(func(sock net.Conn) net.Conn { cut = &torn{Conn: sock, size: size}; return cut })
			cut.on = true
			for i := range 6 {
				text := strings.Repeat("ü", i*i*i*size%6000)
				p.say(text)
				p.hear(text)
			}
		}
	})
}

// Many records in one segment are all read, though the descriptor has no more to say.
func TestRecordsThatArriveTogether(t *testing.T) {
	onTLS(t, Config{}, func(t *testing.T, _ *server, dial func(func(net.Conn) net.Conn) *peer) {
		var held *corked
		p := dial(func(sock net.Conn) net.Conn { held = &corked{Conn: sock}; return held })
		held.on = true
		const many = 200
		for i := range many {
			p.say(strings.Repeat("x", i))
		}
		if err := held.release(); err != nil {
			t.Fatal(err)
		}
		for i := range many {
			p.hear(strings.Repeat("x", i))
		}
	})
}

// corked keeps what is written until it is released.
type corked struct {
	net.Conn
	on   bool
	held bytes.Buffer
}

func (c *corked) Write(p []byte) (int, error) {
	if c.on {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *corked) release() error {
	_ = c.SetWriteDeadline(time.Time{}) // tls.Conn's CloseWrite leaves one that has passed
	_, err := c.Conn.Write(c.held.Bytes())
	c.on = false
	return err
}

// A record that was tampered with ends the connection, and only that one.
func TestABrokenRecord(t *testing.T) {
	onTLS(t, Config{}, func(t *testing.T, s *server, dial func(func(net.Conn) net.Conn) *peer) {
		var sock net.Conn
		p := dial(func(c net.Conn) net.Conn { sock = c; return c })
		other := dial(nil)
		if _, err := sock.Write([]byte{23, 3, 3, 0, 30, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30}); err != nil {
			t.Fatal(err)
		}
		p.hearEnd()
		if got := wait(t, "OnClose", s.closed); got != CodeAbnormal {
			t.Errorf("OnClose heard %d", got)
		}
		other.say("still here")
		other.hear("still here")
	})
}

// A peer that only closes its TLS, and not its socket, is gone.
func TestCloseNotify(t *testing.T) {
	onTLS(t, Config{}, func(t *testing.T, s *server, dial func(func(net.Conn) net.Conn) *peer) {
		p := dial(nil)
		p.say("last words")
		if err := p.Conn.(*tls.Conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		p.hear("last words")
		p.hearEnd()
		if got := wait(t, "OnClose", s.closed); got != CodeAbnormal {
			t.Errorf("OnClose heard %d", got)
		}
	})
}

// The end that comes together with the last messages does not overtake them, nor
// the work that one of them asks for.
func TestCloseNotifyBehindApart(t *testing.T) {
	onTLS(t, Config{}, func(t *testing.T, s *server, dial func(func(net.Conn) net.Conn) *peer) {
		heard := make(chan string, 10)
		s.message = func(c *Conn, text string) {
			c.Apart(func() { heard <- text })
		}
		var held *corked
		p := dial(func(sock net.Conn) net.Conn { held = &corked{Conn: sock}; return held })
		held.on = true
		for _, text := range []string{"first", "second", "third"} {
			p.say(text)
		}
		if err := p.Conn.(*tls.Conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := held.release(); err != nil {
			t.Fatal(err)
		}
		wait(t, "OnClose", s.closed)
		for _, want := range []string{"first", "second", "third"} {
			if got := wait(t, want, heard); got != want {
				t.Errorf("%q was done, want %q", got, want)
			}
		}
	})
}

// A peer whose socket is full is served on when it reads again: records keep their
// order behind what the kernel did not take.
func TestARestOfARecord(t *testing.T) {
	onTLS(t, Config{Backlog: 32 << 20}, func(t *testing.T, s *server, dial func(func(net.Conn) net.Conn) *peer) {
		p := dial(nil)
		c := wait(t, "the connection", s.conns)
		sent, rests := 0, 0
		for ; ; sent++ {
			if err := c.Send(Text([]byte(strings.Repeat(string(rune('a'+sent%26)), 1+sent*37%20000)))); err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			waiting, rest := c.out.waiting, len(c.link.(*epollLink).tls.rest)
			c.mu.Unlock()
			if rest > 0 {
				rests++
			}
			if waiting > 1<<20 {
				break
			}
		}
		if rests == 0 {
			t.Error("no record was taken in part")
		}
		p.say("you may answer this behind the others")
		for i := range sent + 1 {
			p.hear(strings.Repeat(string(rune('a'+i%26)), 1+i*37%20000))
		}
		p.hear("you may answer this behind the others")
	})
}

// The default of many clients: sessions are resumed, and each is a whole one.
func TestResumedSessions(t *testing.T) {
	s := startTLS(t, New(Config{Poller: PollerEpoll}), nil)
	d := s.dialer()
	d.TLSConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		p := dialWith(t, s, d)
		p.say("hi")
		p.hear("hi") // and reads the ticket
		if resumed := p.Conn.(*tls.Conn).ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d resumed: %v", i, resumed)
		}
	}
}

// Without the listener of BelowTLS a connection is served all the same.
func TestTLSOnAListenerOfAnotherKind(t *testing.T) {
	s := startTLS(t, New(Config{Poller: PollerEpoll}), nil)
	far, near := net.Pipe()
	server := tls.Server(near, s.serverTLS)
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	client := tls.Client(far, s.tls())
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "the handshake", done); err != nil {
		t.Fatal(err)
	}
	if err := s.adopt(server, nil, nil, func(*Conn) Handler { return s }); err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteFrame(client, ws.MaskFrame(ws.NewTextFrame([]byte("hi")))); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, Conn: client, r: client}
	p.hear("hi")
	_ = client.Close()
	wait(t, "OnClose", s.closed)
}
