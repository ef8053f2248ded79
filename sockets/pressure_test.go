package sockets

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// A client that does not read is bounded and ended, and the others go on.
func TestSlowReader(t *testing.T) {
	onEveryEngine(t, Config{Backlog: 64 << 10}, func(t *testing.T, s *server) {
		dial(t, s) // never reads
		stuck := wait(t, "the slow connection", s.conns)
		other := dial(t, s)
		quick := wait(t, "the quick connection", s.conns)

		f := Text(bytes.Repeat([]byte("x"), 4<<10))
		sent := 0
		for ; stuck.Send(f) == nil; sent += f.Len() {
			if sent > 64<<20 {
				t.Fatal("64 MB taken from a client that does not read")
			}
			if sent%(1<<20) < f.Len() {
				_ = quick.Send(Text([]byte("on")))
				other.hear("on")
			}
		}
		if got := wait(t, "OnClose", s.closed); got != CodeSlow {
			t.Errorf("OnClose heard %d", got)
		}
		if got := s.Stats().Slow; got != 1 {
			t.Errorf("%d slow connections counted", got)
		}
		_ = quick.Send(Text([]byte("still on")))
		other.hear("still on")
	})
}

// What the kernel does not take at once arrives nevertheless, whole and in order.
func TestBacklogArrives(t *testing.T) {
	const messages = 300
	onEveryEngine(t, Config{Backlog: 16 << 20}, func(t *testing.T, s *server) {
		p := dial(t, s)
		c := wait(t, "the connection", s.conns)
		body := strings.Repeat("y", 30<<10)
		for i := range messages {
			if err := c.Send(Text([]byte(string(rune('A'+i%26)) + body))); err != nil {
				t.Fatal(err)
			}
		}
		c.Close(CodeNormal, "done")
		for i := range messages {
			if f := p.frame(); len(f.Payload) != len(body)+1 || f.Payload[0] != byte('A'+i%26) {
				t.Fatalf("message %d: %d bytes beginning with %q", i, len(f.Payload), f.Payload[0])
			}
		}
		if got := p.hearClose(); got != CodeNormal {
			t.Errorf("closed with %d", got)
		}
	})
}

// Of pings that arrive together the last is answered, and others are served
// meanwhile as ever.
func TestAFloodOfPings(t *testing.T) {
	const many = 20_000
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		p, other := dial(t, s), dial(t, s)
		flood := make([]byte, 0, many*14)
		for i := range many {
			flood = append(flood, ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(fmt.Append(nil, i))))...)
		}
		written := make(chan error, 1)
		go func() {
			_, err := p.Write(flood)
			written <- err
		}()
		other.say("hi")
		other.hear("hi")
		answers, last := 0, -1
		for last < many-1 {
			f := p.frame()
			n, err := strconv.Atoi(string(f.Payload))
			if f.Header.OpCode != ws.OpPong || err != nil || n <= last {
				t.Fatalf("heard %v %q after the pong to %d", f.Header.OpCode, f.Payload, last)
			}
			answers, last = answers+1, n
		}
		if answers > many/10 {
			t.Errorf("%d answers to %d pings", answers, many)
		}
		if err := wait(t, "the flood", written); err != nil {
			t.Error(err)
		}
	})
}
