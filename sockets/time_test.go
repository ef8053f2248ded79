package sockets

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// timed runs an engine in a bubble whose clock is fake, with one connection over
// a pipe.
func timed(t *testing.T, test func(t *testing.T, e *Engine, h *server, client net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = e.Run(ctx) })
		near, far := net.Pipe()
		h := &server{Engine: e, conns: make(chan *Conn, 1), closed: make(chan int, 1)}
		if err := e.adopt(near, nil, nil, func(c *Conn) Handler { h.conns <- c; return h }); err != nil {
			t.Fatal(err)
		}
		test(t, e, h, far)
		_ = far.Close()
		cancel()
		run.Wait()
	})
}

// hearing reads whatever comes and says when; answer tells which pings are answered.
func hearing(client net.Conn, answer func(n int) bool) <-chan ws.Frame {
	heard := make(chan ws.Frame, 100)
	go func() {
		defer close(heard)
		for n := 0; ; n++ {
			header, err := ws.ReadHeader(client)
			if err != nil {
				return
			}
			f := ws.Frame{Header: header, Payload: make([]byte, header.Length)}
			if _, err := io.ReadFull(client, f.Payload); err != nil {
				return
			}
			heard <- f
			if f.Header.OpCode == ws.OpPing && answer(n) {
				_ = ws.WriteFrame(client, ws.MaskFrame(ws.NewPongFrame(f.Payload)))
			}
		}
	}()
	return heard
}

func TestADeadPeerIsFoundWithin75Seconds(t *testing.T) {
	timed(t, func(t *testing.T, _ *Engine, h *server, client net.Conn) {
		began := time.Now()
		heard := hearing(client, func(int) bool { return false })
		if code := <-h.closed; code != CodeDead {
			t.Errorf("closed with %d", code)
		}
		if took := time.Since(began); took > 75*time.Second || took < 60*time.Second {
			t.Errorf("found after %v", took)
		}
		pings := 0
		for f := range heard {
			if f.Header.OpCode == ws.OpPing {
				pings++
			}
		}
		if pings != missesAllowed {
			t.Errorf("%d pings before the end", pings)
		}
	})
}

// A client that answers WebSocket pings, and says nothing else, stays.
func TestAnsweringPingsIsEnough(t *testing.T) {
	timed(t, func(t *testing.T, _ *Engine, h *server, client net.Conn) {
		heard := hearing(client, func(n int) bool { return n%2 == 1 }) // one answer lost now and then
		select {
		case code := <-h.closed:
			t.Errorf("closed with %d", code)
		case <-time.After(10 * time.Minute):
		}
		if n := len(heard); n < 15 || n > 40 {
			t.Errorf("%d pings in ten minutes", n)
		}
	})
}

// Any frame is a sign of life: who talks is not pinged.
func TestTalkingPeersAreNotPinged(t *testing.T) {
	timed(t, func(t *testing.T, _ *Engine, h *server, client net.Conn) {
		heard := hearing(client, func(int) bool { return false })
		for range 60 {
			_ = ws.WriteFrame(client, ws.MaskFrame(ws.NewTextFrame([]byte("talk"))))
			<-time.After(10 * time.Second)
		}
		for range 60 {
			if f := <-heard; f.Header.OpCode != ws.OpText {
				t.Fatalf("heard %v", f.Header.OpCode)
			}
		}
		if len(h.closed) > 0 {
			t.Errorf("closed with %d", <-h.closed)
		}
	})
}

// Half a frame is no sign of life: a client that dribbles is ended like a silent one.
func TestDribblingIsNotTalking(t *testing.T) {
	timed(t, func(t *testing.T, _ *Engine, h *server, client net.Conn) {
		hearing(client, func(int) bool { return false })
		frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 1000))))
		began := time.Now()
		for _, b := range frame {
			if _, err := client.Write([]byte{b}); err != nil {
				break
			}
			<-time.After(time.Second)
		}
		if code := <-h.closed; code != CodeDead || time.Since(began) > 80*time.Second {
			t.Errorf("closed with %d after %v", code, time.Since(began))
		}
	})
}

func TestAnUnansweredCloseEnds(t *testing.T) {
	timed(t, func(t *testing.T, _ *Engine, h *server, client net.Conn) {
		hearing(client, func(int) bool { return false })
		began := time.Now()
		(<-h.conns).Close(4200, "")
		if code := <-h.closed; code != 4200 {
			t.Errorf("OnClose heard %d", code)
		}
		if took := time.Since(began); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// Ten thousand who came in one second are not pinged in one second.
func TestPingsAreStaggered(t *testing.T) {
	e := New(Config{})
	seen := map[int64]int{}
	for range 1000 {
		near, far := net.Pipe()
		done := make(chan *Conn, 1)
		_ = e.adopt(near, nil, nil, func(c *Conn) Handler { done <- c; return &server{closed: make(chan int, 1)} })
		c := <-done
		seen[c.timer.period]++
		_ = far.Close()
	}
	e.readers.Wait()
	for at, n := range seen {
		if at < 22 || at > 30 || n > 300 {
			t.Errorf("%d of 1000 are pinged after %d s", n, at)
		}
	}
}

// What only a flusher writes is still under way when the end comes: the close
// frame follows it.
func TestTheCloseFrameGoesBehindWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = e.Run(ctx) })
		near, far := net.Pipe()
		h := &server{Engine: e, closed: make(chan int, 1)}
		if err := e.Adopt(near, func(c *Conn) Handler {
			_ = c.Send(Text([]byte("hello")))
			return h
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the flusher waits for the peer
		cancel()
		synctest.Wait()
		said := []ws.OpCode{}
		for f := range hearing(far, func(int) bool { return false }) {
			said = append(said, f.Header.OpCode)
		}
		if !slices.Equal(said, []ws.OpCode{ws.OpText, ws.OpClose}) {
			t.Errorf("heard %v", said)
		}
		_ = far.Close()
		run.Wait()
	})
}
