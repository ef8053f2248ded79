package fallback

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"github.com/diaphone-dev/diaphone/sockets"
)

func TestStream(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, c := b.open("one")
		for _, text := range []string{"plain", `{"q":"\"\\"}`, "ü😀\u2028", "\x00\n", ""} {
			b.say("one", text)
			if got := messages(t, s.line()); !slices.Equal(got, []string{text}) {
				t.Errorf("said %q, heard %q", text, got)
			}
		}
		began := time.Now()
		c.Close(4321, `with a "reason"`)
		s.expect(`c[4321,"with a \"reason\""]`, "")
		if code := <-b.closed; code != 4321 || time.Since(began) > 0 {
			t.Errorf("OnClose heard %d after %v", code, time.Since(began))
		}
	})
}

func TestPoll(t *testing.T) {
	inBubble(t, func(b *bubble) {
		if got := b.poll("one"); !slices.Equal(got, []string{"o\n", `a["hello"]`}) {
			t.Fatalf("heard %q", got)
		}
		c := <-b.conns
		for i := range 100 { // nobody listens meanwhile
			_ = c.Send(sockets.Text([]byte(strconv.Itoa(i))))
		}
		pass(gap - time.Second)
		for next := 0; next < 100; {
			for _, m := range messages(t, b.poll("one")[0]) {
				if m != strconv.Itoa(next) {
					t.Fatalf("heard %s, want %d", m, next)
				}
				next++
			}
		}
		c.Close(4200, "bye")
		synctest.Wait()
		if len(b.closed) != 1 {
			t.Error("the engine waits for a client that does not poll")
		}
		if got := b.poll("one"); !slices.Equal(got, []string{`c[4200,"bye"]`}) {
			t.Errorf("heard %q", got)
		}
		if got := b.poll("one"); got[0] != "o\n" {
			t.Errorf("a session that has ended goes on with %q", got)
		}
	})
}

// A stream ends where pusher-js opens the next: at the first end of a line beyond
// 256 Ki UTF-16 units. What is sent meanwhile waits.
func TestReopening(t *testing.T) {
	const senders, each, limit = 4, 300, 256 << 10
	inBubble(t, func(b *bubble) {
		s, c := b.open("one")
		var sending sync.WaitGroup
		for i := range senders {
			sending.Go(func() {
				for n := range each {
					_ = c.Send(sockets.Text(fmt.Appendf(nil, "%d %d %s", i, n, strings.Repeat("ü😀x", 200))))
					pass(time.Millisecond) // as fast as the client reads, or it would be too slow
				}
			})
		}
		var next [senders]int
		streams := 1
		for range senders * each {
			line := s.line()
			if line == "" {
				if s.length <= limit || s.length > limit+mostTold+4096 {
					t.Fatalf("a stream ended after %d units", s.length)
				}
				s = b.stream("one")
				streams++
				line = s.line()
			} else if before := s.length - len(utf16.Encode([]rune(line))) - 1; before > limit {
				t.Fatalf("a line came behind %d units", before)
			}
			for _, m := range messages(t, line) {
				var i, n int
				if _, err := fmt.Sscanf(m, "%d %d", &i, &n); err != nil || n != next[i] {
					t.Fatalf("heard %.20q, want %d", m, next[i])
				}
				next[i]++
			}
			if next == [senders]int{each, each, each, each} {
				break
			}
		}
		sending.Wait()
		if next != [senders]int{each, each, each, each} || streams < 3 {
			t.Errorf("heard %v over %d streams", next, streams)
		}
		s.cut()
	})
}

func TestPongs(t *testing.T) {
	const pong = `{"event":"pusher:pong","data":{}}`
	ping := fmt.Sprintf("%q", pingEvent)
	inBubble(t, func(b *bubble) {
		s, c := b.open("one")
		_ = c.Send(sockets.Text([]byte("before")))
		s.expect(`a["before"]`)
		_ = c.Fence(1)
		s.expect("a[" + ping + "]")
		_ = c.Fence(2)
		s.expect("a[" + ping + "]")
		b.say("one")
		b.say("one", "#not a pong", `#"event":"pusher:pong"`)
		synctest.Wait()
		if len(b.pongs) != 0 || len(b.heard) != 2 {
			t.Fatalf("%d pongs before the client sent one", len(b.pongs))
		}
		b.say("one", pong)
		if got := <-b.pongs; got != 1 {
			t.Errorf("the first pong proves %d", got)
		}
		b.say("one", pong)
		if got := <-b.pongs; got != 2 {
			t.Errorf("the second pong proves %d", got)
		}
		b.say("one", pong) // nothing is owed: a message as any other
		if got := messages(t, s.line()); got[0] != pong {
			t.Errorf("heard %q", got)
		}
		s.cut()
	})
}

// Of several pings that wait, the last goes out, in its place.
func TestPingsThatWait(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.poll("one")
		c := <-b.conns
		for i := range 3 {
			_ = c.Send(sockets.Text([]byte(strconv.Itoa(i))))
			_ = c.Fence(uint64(i + 1))
		}
		_ = c.Send(sockets.Text([]byte("last")))
		synctest.Wait()
		if got := messages(t, b.poll("one")[0]); !slices.Equal(got, []string{"0", "1", "2", pingEvent, "last"}) {
			t.Errorf("heard %q", got)
		}
		b.say("one", `{"data":{},"event":"pusher:pong"}`)
		if got := <-b.pongs; got != 3 {
			t.Errorf("the pong proves %d", got)
		}
	})
}

func TestPingsThatNobodyAnswers(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, c := b.open("one")
		for range mostOwed {
			_ = c.Fence(1)
			_ = messages(t, s.line())
		}
		_ = c.Fence(1)
		_ = messages(t, s.line())
		s.expect(`c[4201,"Pong replies not received"]`, "")
		<-b.closed
	})
}

func TestASilentClientIsFoundWithin75Seconds(t *testing.T) {
	inBubble(t, func(b *bubble) {
		began := time.Now()
		s, _ := b.open("one")
		for line := s.line(); line != `c[4201,"Pong reply not received in time"]`; line = s.line() {
			if line != "h" && !strings.Contains(line, "pusher:ping") {
				t.Fatalf("heard %q", line)
			}
		}
		if took := time.Since(began); took < 60*time.Second || took > 75*time.Second {
			t.Errorf("found after %v", took)
		}
		<-b.closed
	})
}

// An hour is longer than any time-out of the server.
func TestQuietClientsStay(t *testing.T) {
	for name, live := range map[string]func(b *bubble, end time.Time){
		"a stream's answers h": func(b *bubble, end time.Time) {
			s, _ := b.open("one")
			for time.Now().Before(end) {
				s.expect("h")
				b.say("one")
			}
			b.say("one", "still there")
			s.expect(`a["still there"]`)
			s.cut()
		},
		"a poll's polls again": func(b *bubble, end time.Time) {
			b.poll("one")
			for time.Now().Before(end) {
				if got := b.poll("one"); !slices.Equal(got, []string{"h"}) {
					b.t.Fatalf("heard %q", got)
				}
				pass(time.Second)
			}
			b.say("one", "still there")
			if got := b.poll("one"); !slices.Equal(got, []string{`a["still there"]`}) {
				b.t.Fatalf("heard %q", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) { live(b, time.Now().Add(time.Hour)) })
		})
	}
}

func TestASessionThatNobodyPollsEnds(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.poll("one")
		began := time.Now()
		if code := <-b.closed; code != sockets.CodeGoingAway || time.Since(began) != gap {
			t.Errorf("closed with %d after %v", code, time.Since(began))
		}
		res := b.post(b.t.Context(), "one/xhr_send", "[]")
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("xhr_send: %d", res.StatusCode)
		}
	})
}

func TestABrokenRequestEndsTheSession(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, _ := b.open("one")
		began := time.Now()
		s.cut()
		if code := <-b.closed; code != sockets.CodeGoingAway || time.Since(began) > 0 {
			t.Errorf("closed with %d after %v", code, time.Since(began))
		}
	})
}

// Two who listen to one session: one of them is a stranger. Neither gets on.
func TestTwoListeners(t *testing.T) {
	inBubble(t, func(b *bubble) {
		first, _ := b.open("one")
		second := b.stream("one")
		second.expect(`c[4200,"The session has ended"]`, "")
		first.expect(`c[4200,"Two requests listen at once"]`, "")
		<-b.closed
	})
}

// The origin is a part of the session's name.
func TestAnotherOriginIsAnotherSession(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, _ := b.open("one")
		r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "http://host/one/xhr_send", strings.NewReader("[]"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://elsewhere.example")
		res, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("xhr_send: %d", res.StatusCode)
		}
		b.say("one", "mine")
		s.expect(`a["mine"]`)
		s.cut()
	})
}

// What waits for a client is bounded, by the engine's own rule.
func TestASlowClient(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.poll("one")
		c := <-b.conns
		sent, err := 0, error(nil)
		for f := sockets.Text(make([]byte, 1<<10)); err == nil; err = c.Send(f) {
			if sent++; sent > 1000 {
				t.Fatal("a megabyte waits for a client that does not poll")
			}
			synctest.Wait()
		}
		if code := <-b.closed; code != sockets.CodeSlow {
			t.Errorf("OnClose heard %d", code)
		}
		got := b.poll("one")
		if len(messages(t, got[0])) < 64 || got[1] != `c[4100,"The client reads too slowly"]` {
			t.Errorf("heard %d lines", len(got))
		}
	})
}

func TestAClientThatDoesNotRead(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, c := b.open("one")
		began := time.Now()
		for f := sockets.Text(make([]byte, 8<<10)); c.Send(f) == nil; {
			synctest.Wait()
		}
		if code := <-b.closed; code != sockets.CodeSlow || time.Since(began) > patience {
			t.Errorf("closed with %d after %v", code, time.Since(began))
		}
		pass(2 * patience) // the server has given up writing
		if _, err := io.ReadAll(s.body); err == nil {
			t.Error("the answer ended as if it were whole")
		}
	})
}

func TestTheEngineStops(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, _ := b.open("one")
		b.stop()
		s.expect(`c[1001,"The server has stopped"]`, "")
		if got := b.poll("two"); !slices.Equal(got, []string{"o\n", `c[1001,"The server has stopped"]`}) {
			t.Errorf("a new session heard %q", got)
		}
	})
}

// A client that says more than the engine reads waits; its requests hold it.
func TestAnEngineThatIsBusy(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, _ := b.open("one")
		b.apart = make(chan struct{})
		b.say("one", "#first")
		if got := <-b.heard; got != "#first" {
			t.Fatalf("heard %q", got)
		}
		var answered sync.WaitGroup
		const more = 6
		for range more {
			answered.Go(func() { b.say("one", "#"+strings.Repeat("x", 15<<10)) })
		}
		synctest.Wait()
		one := b.table.find(ID{Key: "k", Server: "1", Session: "one"})
		one.mu.Lock()
		if len(one.said) > mostSaid+16<<10 {
			t.Errorf("%d bytes wait", len(one.said))
		}
		one.mu.Unlock()
		close(b.apart)
		answered.Wait()
		for range more {
			<-b.heard
		}
		s.cut()
	})
}

func TestRequestsThatAreRefused(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, _ := b.open("one")
		for body, status := range map[string]int{
			``: 400, `{}`: 400, `null`: 400, `"x"`: 400, `[1]`: 400, `[null]`: 400, `["a",{}]`: 400, `[["a"]]`: 400,
			`["a"`: 400, `["a"]]`: 400, "[\"\xff\"]": 400,
			`["` + strings.Repeat("x", 32<<10) + `"]`: 413,
			`[]`: 204, ` [ ] `: 204,
		} {
			res := b.post(b.t.Context(), "one/xhr_send", body)
			_ = res.Body.Close()
			if res.StatusCode != status {
				t.Errorf("%.20q: %d, want %d", body, res.StatusCode, status)
			}
		}
		for _, transport := range []string{"xhr", "xhr_streaming"} {
			res := b.post(b.t.Context(), "two/"+transport, strings.Repeat("x", 5<<10))
			_ = res.Body.Close()
			if res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s with a body: %d", transport, res.StatusCode)
			}
		}
		b.say("one", "unharmed")
		s.expect(`a["unharmed"]`)
		s.cut()
	})
}

func TestSessionsAreBounded(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.table.most = 1
		s, _ := b.open("one")
		if got := b.poll("two"); !slices.Equal(got, []string{`c[4100,"Over capacity"]`}) {
			t.Errorf("the second session heard %q", got)
		}
		s.cut()
		<-b.closed
		if got := b.poll("two"); got[0] != "o\n" {
			t.Errorf("when the first has gone, the second heard %q", got)
		}
	})
}

// A message over the engine's limit closes the connection, as anywhere.
func TestAMessageTooBig(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s, _ := b.open("one")
		b.say("one", strings.Repeat("x", 17<<10))
		s.expect(`c[1009,"message too big"]`, "")
		<-b.closed
	})
}

func TestHeaders(t *testing.T) {
	inBubble(t, func(b *bubble) {
		ctx, cancel := context.WithCancel(b.t.Context())
		res := b.post(ctx, "one/xhr_streaming", "")
		for name, want := range map[string]string{
			"Content-Type":  "application/javascript; charset=UTF-8",
			"Cache-Control": "no-store, no-transform",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		cancel()
		_ = res.Body.Close()
		<-b.closed
	})
}

// A client reads the last line of its request, and listens again, before the
// request has returned.
func TestListeningAgainAtOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s := newSession(ID{})
		if !s.attach(b.t.Context(), 0) {
			t.Fatal("a new session has a listener")
		}
		s.part()
		again := make(chan bool, 1)
		go func() { again <- s.attach(b.t.Context(), 0) }()
		synctest.Wait()
		if len(again) != 0 {
			t.Fatal("two requests listen")
		}
		s.detach(func() { t.Error("the session is taken for lost") })
		if !<-again || s.over != nil {
			t.Errorf("the next request was refused: %+v", s.over)
		}
		pass(2 * gap)
	})
}
