package sockets

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// While connections come and go, and their descriptors' numbers are given to
// others, senders go on until they are refused. Nobody may hear what was meant
// for somebody else.
func TestNobodyHearsAStranger(t *testing.T) {
	const workers = 8
	onEveryEngine(t, Config{Backlog: 1 << 28}, func(t *testing.T, s *server) {
		lives := 60
		if s.roots != nil {
			lives = 12 // a handshake costs more than all the rest
		}
		go func() {
			for range s.conns { // nobody else takes them
			}
		}()
		defer close(s.conns)
		var senders sync.WaitGroup
		s.mu.Lock()
		s.message = func(c *Conn, name string) {
			f := Text([]byte(name))
			senders.Go(func() {
				for c.Send(f) == nil {
				}
			})
		}
		s.mu.Unlock()
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for i := range lives {
					live(t, s, fmt.Sprintf("client %d in life %d", w, i), i)
				}
			})
		}
		all.Wait()
		for range workers * lives {
			wait(t, "OnClose", s.closed)
		}
		senders.Wait()
		s.stop() // before conns is closed
	})
}

// live is one connection that ends in one of several ways.
func live(t *testing.T, s *server, name string, way int) {
	conn, early, _, err := s.dialer().Dial(t.Context(), s.url)
	if err != nil {
		t.Error(err)
		return
	}
	r := io.Reader(conn)
	if early != nil {
		r = early
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(name))))); err != nil {
		t.Error(err)
	}
	for range 5 {
		heard, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{r, conn})
		if err != nil || string(heard) != name {
			t.Errorf("%s heard %q, %v", name, heard, err)
			break
		}
	}
	switch way % 3 {
	case 0:
		_ = bottom(conn).(*net.TCPConn).SetLinger(0) // a reset
	case 1:
		_ = ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(nil)))
	}
	_ = conn.Close()
}

// What a client sends together with its request is heard.
func TestFramesTogetherWithTheRequest(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		for _, closes := range []bool{false, true} {
			_, address, _ := strings.Cut(s.url, "://")
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if s.roots != nil {
				conn = tls.Client(conn, s.tls())
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			bytes := []byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			bytes = append(bytes, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("early"))))...)
			if closes {
				bytes = append(bytes, ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(nil)))...)
			}
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("answered %v, %v", res, err)
			}
			p := &peer{t: t, Conn: conn, r: r}
			p.hear("early")
			if closes {
				p.hearClose()
				p.hearEnd()
				wait(t, "OnClose", s.closed)
			}
		}
	})
}

func TestRemoteAddr(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		c := wait(t, "the connection", s.conns)
		if got := c.RemoteAddr(); got == nil || got.String() != p.LocalAddr().String() {
			t.Errorf("the peer is at %v, want %v", got, p.LocalAddr())
		}
		_ = p.Close()
		wait(t, "OnClose", s.closed)
		if got := c.RemoteAddr(); got != nil {
			t.Errorf("an ended connection has a peer at %v", got)
		}
	})
}
