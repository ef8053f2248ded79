package sockets

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestEcho(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		for _, text := range []string{"", "a", strings.Repeat("ü", 100), strings.Repeat("x", 16<<10)} {
			p.say(text)
			p.hear(text)
		}
	})
}

func TestFragmentsWithAPingBetween(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		p.send(ws.NewFrame(ws.OpText, false, []byte("caf\xc3"))) // ends within a character
		p.send(ws.NewPingFrame([]byte("there?")))
		if f := p.frame(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "there?" {
			t.Fatalf("the ping was answered by %v %q", f.Header.OpCode, f.Payload)
		}
		p.send(ws.NewFrame(ws.OpContinuation, false, []byte("\xa9 ")))
		p.send(ws.NewFrame(ws.OpContinuation, true, []byte("au lait")))
		p.hear("café au lait")
	})
}

func TestBytesInAnyPieces(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		var all []byte
		for i := range 20 {
			f := ws.MaskFrame(ws.NewTextFrame([]byte(strings.Repeat("é", i*40))))
			all = append(all, ws.MustCompileFrame(f)...)
		}
		for size := 1; len(all) > 0; size += 7 {
			n := min(size, len(all))
			p.raw(all[:n])
			all = all[n:]
		}
		for i := range 20 {
			p.hear(strings.Repeat("é", i*40))
		}
	})
}

func TestBreachesOfTheProtocol(t *testing.T) {
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	rsv := ws.NewTextFrame([]byte("x"))
	rsv.Header.Rsv = 4
	long := ws.NewPingFrame(bytes.Repeat([]byte("x"), 126))
	cases := map[string]struct {
		bytes []byte
		code  int
	}{
		"not masked":                {ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), CodeProtocol},
		"binary":                    {masked(ws.NewBinaryFrame([]byte("x"))), CodeUnsupported},
		"not UTF-8":                 {masked(ws.NewTextFrame([]byte("\xff"))), CodeNotUTF8},
		"reserved bit":              {masked(rsv), CodeProtocol},
		"reserved opcode":           {masked(ws.NewFrame(0x3, true, nil)), CodeProtocol},
		"long control frame":        {masked(long), CodeProtocol},
		"fragmented control frame":  {masked(ws.NewFrame(ws.OpPing, false, nil)), CodeProtocol},
		"continuation of nothing":   {masked(ws.NewFrame(ws.OpContinuation, true, nil)), CodeProtocol},
		"text within a message":     {append(masked(ws.NewFrame(ws.OpText, false, nil)), masked(ws.NewTextFrame(nil))...), CodeProtocol},
		"over the limit":            {masked(ws.NewTextFrame(make([]byte, 16<<10+1))), CodeTooBig},
		"a megabyte":                {masked(ws.NewTextFrame(make([]byte, 1<<20))), CodeTooBig},
		"over it in fragments":      {append(masked(ws.NewFrame(ws.OpText, false, make([]byte, 16<<10))), masked(ws.NewFrame(ws.OpContinuation, true, []byte("x")))...), CodeTooBig},
		"announces 2^62 bytes":      {[]byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, CodeTooBig},
		"announces a negative size": {[]byte{0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, CodeProtocol},
		"close with half a code":    {masked(ws.NewCloseFrame([]byte{3})), CodeProtocol},
		"close with code 1005":      {masked(ws.NewCloseFrame([]byte{3, 0xed})), CodeProtocol},
		"close with a bad reason":   {masked(ws.NewCloseFrame([]byte{3, 0xe8, 0xff})), CodeNotUTF8},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			// The end is told at once, not when the wait for the peer's close is over.
			onEveryEngine(t, Config{CloseWait: time.Hour}, func(t *testing.T, s *server) {
				p := dial(t, s)
				p.raw(c.bytes)
				if got := p.hearClose(); got != c.code {
					t.Errorf("closed with %d, want %d", got, c.code)
				}
				p.hearEnd()
				_ = p.Close()
				if got := wait(t, "OnClose", s.closed); got != c.code {
					t.Errorf("OnClose heard %d, want %d", got, c.code)
				}
			})
		})
	}
}

func TestThePeerCloses(t *testing.T) {
	for _, c := range []struct {
		body []byte
		code int
	}{
		{nil, CodeNone},
		{ws.NewCloseFrameBody(1000, "bye"), CodeNormal},
		{ws.NewCloseFrameBody(4321, ""), 4321},
	} {
		onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
			p := dial(t, s)
			p.say("last words")
			p.send(ws.NewCloseFrame(c.body))
			p.hear("last words")
			if got := p.hearClose(); got != c.code {
				t.Errorf("answered with %d, want %d", got, c.code)
			}
			p.hearEnd()
			if got := wait(t, "OnClose", s.closed); got != c.code {
				t.Errorf("OnClose heard %d, want %d", got, c.code)
			}
		})
	}
}

func TestWeClose(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		c := wait(t, "the connection", s.conns)
		_ = c.Send(Text([]byte("before")))
		c.Close(4200, strings.Repeat("r", 300))
		c.Close(4300, "only the first counts")
		if err := c.Send(Text([]byte("after"))); err == nil {
			t.Error("a closing connection takes frames")
		}
		p.hear("before")
		if got := p.hearClose(); got != 4200 {
			t.Errorf("closed with %d", got)
		}
		p.say("ignored") // under way when the close was sent
		p.send(ws.NewCloseFrame(ws.NewCloseFrameBody(4200, "")))
		p.hearEnd()
		if got := wait(t, "OnClose", s.closed); got != 4200 {
			t.Errorf("OnClose heard %d", got)
		}
	})
}

func TestACutConnection(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		_ = p.Close()
		if got := wait(t, "OnClose", s.closed); got != CodeAbnormal {
			t.Errorf("OnClose heard %d", got)
		}
	})
}

func TestFence(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		fences := make(chan uint64, 4)
		s.mu.Lock()
		s.pong = func(_ *Conn, f uint64) { fences <- f }
		s.mu.Unlock()
		p := dial(t, s)
		c := wait(t, "the connection", s.conns)
		_ = c.Send(Text([]byte("event")))
		_ = c.Fence(1 << 63)
		p.hear("event")
		f := p.frame()
		if f.Header.OpCode != ws.OpPing {
			t.Fatalf("heard %v instead of a ping", f.Header.OpCode)
		}
		p.send(ws.NewPongFrame([]byte("unsolicited")))
		p.send(ws.NewPongFrame(f.Payload))
		if got := wait(t, "the pong", fences); got != 1<<63 {
			t.Errorf("fence %d came back", got)
		}
	})
}

func TestSubprotocol(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		for offered, want := range map[string]string{"": "", "proto-7": "proto-7", "other, proto-7": "proto-7", "other": ""} {
			d := s.dialer()
			if offered != "" {
				d.Protocols = strings.Split(offered, ", ")
			}
			conn, _, hs, err := d.Dial(context.Background(), s.url)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if hs.Protocol != want {
				t.Errorf("offered %q: %q selected, want %q", offered, hs.Protocol, want)
			}
		}
	})
}

func TestNotAWebSocket(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: s.tls()}, Timeout: patience}
		res, err := client.Get("http" + strings.TrimPrefix(s.url, "ws"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %d", res.StatusCode)
		}
	})
}

func TestOrderFromManySenders(t *testing.T) {
	const senders, each = 4, 500
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		c := wait(t, "the connection", s.conns)
		for i := range senders {
			go func() {
				for n := range each {
					_ = c.Send(Text(fmt.Appendf(nil, "%d %d", i, n)))
				}
			}()
		}
		next := [senders]int{}
		for range senders * each {
			var i, n int
			if _, err := fmt.Sscanf(string(p.frame().Payload), "%d %d", &i, &n); err != nil {
				t.Fatal(err)
			}
			if n != next[i] {
				t.Fatalf("sender %d: %d came, want %d", i, n, next[i])
			}
			next[i]++
		}
	})
}

func TestStopEndsEverything(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p := dial(t, s)
		wait(t, "the connection", s.conns)
		s.stop()
		if got := p.hearClose(); got != CodeGoingAway {
			t.Errorf("closed with %d", got)
		}
		if got := wait(t, "OnClose", s.closed); got != CodeGoingAway {
			t.Errorf("OnClose heard %d", got)
		}
		if n := s.Stats().Open; n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
}

func TestUnderTLS(t *testing.T) {
	for name, build := range engines() {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			s := startWith(t, build(Config{Backlog: 1 << 20}), func(web *httptest.Server) {
				web.StartTLS()
				roots.AddCert(web.Certificate())
			})
			p := dialWith(t, s, ws.Dialer{TLSConfig: &tls.Config{RootCAs: roots}})
			c := wait(t, "the connection", s.conns)
			for _, text := range []string{"", "a", strings.Repeat("x", 16<<10)} {
				p.say(text)
				p.hear(text)
			}
			slow := dialWith(t, s, ws.Dialer{TLSConfig: &tls.Config{RootCAs: roots}})
			stuck := wait(t, "the slow connection", s.conns)
			for f, n := Text(make([]byte, 64<<10)), 0; stuck.Send(f) == nil; n++ {
				if n > 1000 {
					t.Fatal("64 MB taken from a client that does not read")
				}
			}
			if got := wait(t, "OnClose", s.closed); got != CodeSlow {
				t.Errorf("OnClose heard %d", got)
			}
			_ = slow.Close()
			c.Close(4200, "")
			if got := p.hearClose(); got != 4200 {
				t.Errorf("closed with %d", got)
			}
			p.send(ws.NewCloseFrame(nil))
			if got := wait(t, "OnClose", s.closed); got != 4200 {
				t.Errorf("OnClose heard %d", got)
			}
		})
	}
}
