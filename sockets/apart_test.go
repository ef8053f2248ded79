package sockets

import (
	"testing"

	"github.com/gobwas/ws"
)

// While one connection's work waits, the others are served, its own messages keep
// their order, and it can still be sent to.
func TestApart(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		gate := make(chan struct{})
		s.mu.Lock()
		s.message = func(c *Conn, text string) {
			if text == "wait" {
				c.Apart(func() {
					<-gate
					_ = c.Send(Text([]byte("waited")))
				})
				return
			}
			_ = c.Send(Text([]byte(text)))
		}
		s.mu.Unlock()
		slow := dial(t, s)
		c := wait(t, "the connection", s.conns)
		var both []byte
		for _, text := range []string{"before", "wait", "behind", "wait", "last"} {
			both = append(both, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(text))))...)
		}
		slow.raw(both)
		slow.hear("before")
		for range 8 { // on every shard
			other := dial(t, s)
			other.say("hi")
			other.hear("hi")
		}
		_ = c.Send(Text([]byte("from elsewhere")))
		slow.hear("from elsewhere")
		gate <- struct{}{}
		slow.hear("waited")
		slow.hear("behind")
		close(gate)
		slow.hear("waited")
		slow.hear("last")
		slow.say("still here")
		slow.hear("still here")
	})
}

// A connection that ends while its work waits ends once the work is done.
func TestTheEndWhileApart(t *testing.T) {
	for _, end := range []func(*server, *Conn, *peer){
		func(_ *server, c *Conn, _ *peer) { c.end() },
		func(_ *server, _ *Conn, p *peer) { _ = p.Close() },
		func(_ *server, c *Conn, p *peer) {
			c.Close(4200, "")
			p.hearClose()
			_ = p.Close()
		},
	} {
		onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
			gate, begun := make(chan struct{}), make(chan struct{})
			s.mu.Lock()
			s.message = func(c *Conn, _ string) {
				c.Apart(func() {
					close(begun)
					<-gate
				})
			}
			s.mu.Unlock()
			p := dial(t, s)
			p.say("wait")
			wait(t, "the work", begun)
			end(s, wait(t, "the connection", s.conns), p)
			if len(s.closed) > 0 {
				t.Error("OnClose was called during the work")
			}
			close(gate)
			wait(t, "OnClose", s.closed)
		})
	}
}
