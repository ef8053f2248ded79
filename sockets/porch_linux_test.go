package sockets

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// house is a web server with a porch, on which paths below /quick are answered.
type house struct {
	*Engine
	*httptest.Server
	inside sync.Map               // paths that net/http has answered
	hook   atomic.Pointer[func()] // what /quick/hook does before it is answered
	opened atomic.Int64
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Context() != context.Background() { // net/http makes one for each request
		h.inside.Store(r.URL.Path, true)
	}
	switch r.URL.Path {
	case "/quick/socket":
		_ = h.Upgrade(w, r, "", func(*Conn) Handler {
			h.opened.Add(1)
			return echoing{}
		})
		return
	case "/quick/hook":
		(*h.hook.Load())()
	case "/quick/panic":
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-From", fmt.Sprint(r.RemoteAddr != "", r.Host != ""))
	w.Header().Set("X-Split", "a\r\nX-Smuggled: b")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
}

type echoing struct{}

func (echoing) OnMessage(c *Conn, p []byte) { _ = c.Send(Text(p)) }
func (echoing) OnPong(*Conn, uint64)        {}
func (echoing) OnClose(*Conn, int)          {}

func newHouse(t *testing.T, c PorchConfig) *house {
	t.Helper()
	return build(t, c, true)
}

// build makes a house whose clock runs, or stands still until pass moves it.
func build(t *testing.T, c PorchConfig, runs bool) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return buildAt(t, l, c, runs)
}

func buildAt(t *testing.T, l net.Listener, c PorchConfig, runs bool) *house {
	t.Helper()
	h := &house{Engine: New(Config{PingAfter: time.Second})} // for a fine tick
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	run := func() {
		defer close(ran)
		_ = h.Run(ctx)
	}
	if runs {
		go run()
	}
	h.Server = &httptest.Server{Config: &http.Server{Handler: h}}
	c.Handler = h
	c.Quick = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/quick") }
	h.Config.ReadHeaderTimeout = c.Patience // as the gateway has it
	h.Listener = h.Porch(l, c)
	h.Start()
	t.Cleanup(func() {
		h.Close()
		cancel()
		if !runs {
			run() // it only closes what is left
		}
		<-ran
	})
	return h
}

// pass moves a clock that stands still.
func (h *house) pass(ticks int64) {
	h.wheel.advance(h.wheel.now.Load() + ticks)
	h.sweep()
}

// guests waits until so many are there that are as asked.
func (h *house) guests(t *testing.T, want int, as func(*guest) bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); ; <-ticker.C {
		n := 0
		for _, s := range h.openPoller().(*epollPoller).shards {
			s.mu.Lock()
			for g := range s.guests {
				if as(g) {
					n++
				}
			}
			s.mu.Unlock()
		}
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d guests, want %d", n, want)
		}
	}
}

func (h *house) call(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn, bufio.NewReader(conn)
}

// tick is that of a house's clock.
const tick = 200 * time.Millisecond

var calm = PorchConfig{Patience: time.Minute, Idle: time.Minute}

func request(method, path, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
}

func upgrade(fields string) string {
	return "GET /quick/socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields + "\r\n"
}

func answer(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("waiting for %q: %v", want, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != want {
		t.Fatalf("answered %q, %v, not %q", body, err, want)
	}
}

func TestThePorchAnswersWhatIsQuick(t *testing.T) {
	h := newHouse(t, calm)
	conn, r := h.call(t)
	for i := range 3 { // one connection, also several in one piece
		var all strings.Builder
		for j := range i + 1 {
			all.WriteString(request("POST", fmt.Sprintf("/quick/%d?%d", i, j), "body"))
		}
		fmt.Fprint(conn, all.String())
		for j := range i + 1 {
			answer(t, r, fmt.Sprintf("POST /quick/%d?%d body", i, j))
		}
	}
	pieces := request("POST", "/quick/pieces", "body")
	for i := 0; i < len(pieces); i += 20 {
		_, _ = conn.Write([]byte(pieces[i:min(i+20, len(pieces))]))
	}
	answer(t, r, "POST /quick/pieces body")
	large := strings.Repeat("x", maxQuick/2)
	fmt.Fprint(conn, request("POST", "/quick/large", large))
	answer(t, r, "POST /quick/large "+large)
	h.inside.Range(func(path, _ any) bool {
		t.Errorf("%v went to net/http", path)
		return true
	})
}

func TestThePorchShowsInWhatIsNot(t *testing.T) {
	h := newHouse(t, calm)
	tooLarge := strings.Repeat("x", maxQuick)
	for name, c := range map[string]struct{ say, want string }{
		"slow":           {request("POST", "/slow", "body"), "POST /slow body"},
		"too large":      {request("POST", "/quick/a", tooLarge), "POST /quick/a " + tooLarge},
		"chunked":        {"POST /quick/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "POST /quick/a body"},
		"another method": {request("PUT", "/quick/a", "body"), "PUT /quick/a body"},
		"HTTP/1.0":       {"GET /quick/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /quick/a "},
	} {
		t.Run(name, func(t *testing.T) {
			conn, r := h.call(t)
			fmt.Fprint(conn, request("POST", "/quick/before", "")+c.say+request("POST", "/quick/behind", "x"))
			answer(t, r, "POST /quick/before ")
			answer(t, r, c.want)
			answer(t, r, "POST /quick/behind x")
			if _, ok := h.inside.LoadAndDelete("/quick/behind"); !ok {
				t.Error("net/http did not have the connection")
			}
			h.inside.Clear()
		})
	}
	conn, r := h.call(t)
	fmt.Fprint(conn, "nonsense\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("nonsense: %v, %v", resp, err)
	}
}

// What net/http's client sees must not tell where it was answered.
func TestThePorchAnswersLikeNetHTTP(t *testing.T) {
	h := newHouse(t, calm)
	var seen []http.Header
	for _, method := range []string{http.MethodPost, http.MethodPut} { // the second is shown in
		req, _ := http.NewRequestWithContext(t.Context(), method, h.URL+"/quick/a", strings.NewReader("x"))
		resp, err := h.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusCreated || resp.Header.Get("X-From") != "true true" || resp.Header.Get("X-Smuggled") != "" {
			t.Errorf("%s: %d, %v", method, resp.StatusCode, resp.Header)
		}
		if _, err := http.ParseTime(resp.Header.Get("Date")); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		resp.Header.Del("Date")
		resp.Header.Del("X-Split")
		resp.Header.Del("Content-Length")
		seen = append(seen, resp.Header)
	}
	if !maps.EqualFunc(seen[0], seen[1], slices.Equal) {
		t.Errorf("the porch's header: %v\nnet/http's: %v", seen[0], seen[1])
	}
}

// Behind the request for it, in the same piece, the first frame.
func TestAGuestBecomesAWebSocket(t *testing.T) {
	h := newHouse(t, calm)
	conn, r := h.call(t)
	var all bytes.Buffer
	all.WriteString(request("POST", "/quick/before", "x"))
	all.WriteString(upgrade(""))
	all.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("early")))))
	_, _ = conn.Write(all.Bytes())
	answer(t, r, "POST /quick/before x")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	p := &peer{t: t, Conn: conn, r: r}
	p.hear("early")
	p.say("later")
	p.hear("later")
	// And one whose request for it is wrong hears why.
	conn, r = h.call(t)
	fmt.Fprint(conn, "GET /quick/socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("%v, %v", resp, err)
	}
	gone(t, r)
}

func gone(t *testing.T, r io.Reader) {
	t.Helper()
	if _, err := io.Copy(io.Discard, r); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection did not end: %v", err)
	}
}

func TestWhoKeepsThePorchWaiting(t *testing.T) {
	const patience, idle = 5, 20 // ticks
	for name, c := range map[string]struct {
		say   string
		limit int64
	}{
		"nothing":      {"", patience},
		"half a head":  {"POST /quick/a HTTP/1.1\r\nHost: h\r\nConte", patience},
		"half a body":  {"POST /quick/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo", patience},
		"one, no more": {request("POST", "/quick/a", ""), idle},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, PorchConfig{Patience: patience * tick, Idle: idle * tick}, false)
			conn, r := h.call(t)
			fmt.Fprint(conn, c.say)
			h.guests(t, 1, func(g *guest) bool { return g.idle == (c.limit == idle) })
			h.pass(c.limit)
			h.guests(t, 1, func(g *guest) bool { return !g.overdue(h.wheel.now.Load()) })
			h.pass(1)
			gone(t, r)
		})
	}
}

// Trickling does not buy time.
func TestATricklingGuest(t *testing.T) {
	h := newHouse(t, PorchConfig{Patience: 400 * time.Millisecond, Idle: time.Minute})
	conn, r := h.call(t)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for range ticker.C {
			if _, err := conn.Write([]byte("POST /quick/a HTTP/1.1\r\nA: b")[:1]); err != nil {
				return
			}
		}
	}()
	fmt.Fprint(conn, "POST /quick/a HTTP/1.1\r\nA: ")
	gone(t, r)
	_ = conn.Close()
	<-sent
}

func TestAPanicCostsItsGuestOnly(t *testing.T) {
	h := newHouse(t, calm)
	other, or := h.call(t)
	conn, r := h.call(t)
	fmt.Fprint(conn, request("POST", "/quick/panic", ""))
	gone(t, r)
	fmt.Fprint(other, request("POST", "/quick/a", ""))
	answer(t, or, "POST /quick/a ")
}

// A guest that asks and asks and does not listen is sent away.
func TestADeafGuest(t *testing.T) {
	h := newHouse(t, calm)
	conn, _ := h.call(t)
	many := []byte(strings.Repeat(request("POST", "/quick/"+strings.Repeat("a", 1000), ""), 100))
	for sent := 0; sent < 1<<30; sent += len(many) {
		if _, err := conn.Write(many); err != nil {
			return
		}
	}
	t.Error("a gigabyte was asked and never an answer read")
}

func TestClosingThePorch(t *testing.T) {
	h := newHouse(t, calm)
	var all []*bufio.Reader
	for i := range 20 {
		conn, r := h.call(t)
		all = append(all, r)
		switch i % 3 {
		case 1:
			fmt.Fprint(conn, request("POST", "/quick/a", ""))
			answer(t, r, "POST /quick/a ")
		case 2:
			fmt.Fprint(conn, request("POST", "/slow", ""))
			answer(t, r, "POST /slow ")
		}
	}
	h.Close()
	for _, r := range all {
		gone(t, r)
	}
	if _, err := net.Dial("tcp", h.Listener.Addr().String()); err == nil {
		t.Error("somebody was let in after the end")
	}
}

// Who comes in very many pieces is shown in: each would have all looked at again.
func TestAGuestInCrumbs(t *testing.T) {
	h := newHouse(t, calm)
	conn, r := h.call(t)
	_ = conn.(*net.TCPConn).SetNoDelay(true)
	body := strings.Repeat("x", 10*maxParts)
	for _, b := range []byte(request("POST", "/quick/crumbs", body)) {
		_, _ = conn.Write([]byte{b})
	}
	answer(t, r, "POST /quick/crumbs "+body)
}

// The answer to what came before cannot be sent, so its descriptor is closed: nobody
// may become a WebSocket under a number that is free for strangers.
func TestAGuestThatIsGoneBecomesNothing(t *testing.T) {
	h := newHouse(t, calm)
	conn, r := h.call(t)
	reset := func() {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	h.hook.Store(&reset)
	fmt.Fprint(conn, request("POST", "/quick/hook", "")+upgrade(""))
	_, _ = io.Copy(io.Discard, r)
	h.onBothLoops(t)
	if n := h.opened.Load(); n != 0 || h.Stats().Open != 0 {
		t.Errorf("%d WebSockets, %d open", n, h.Stats().Open)
	}
}

// What a guest was to be answered before a panic is nobody else's.
func TestAnswersStayWithTheirGuest(t *testing.T) {
	h := newHouse(t, calm)
	conn, r := h.call(t)
	fmt.Fprint(conn, request("POST", "/quick/secret", "mine")+request("POST", "/quick/panic", ""))
	gone(t, r)
	h.onBothLoops(t)
}

// onBothLoops has guests answered on both loops: a descriptor's number decides on which
// it is, and of a connection within one process both ends take a number.
func (h *house) onBothLoops(t *testing.T) {
	t.Helper()
	for range 10 {
		conn, r := h.call(t)
		fmt.Fprint(conn, request("POST", "/quick/other", ""))
		answer(t, r, "POST /quick/other ")
		odd, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = odd.Close() })
	}
}

// The time for a request counts from its first bytes, not from the answer before.
func TestARequestAfterALongPause(t *testing.T) {
	h := build(t, PorchConfig{Patience: 5 * tick, Idle: 100 * tick}, false)
	h.pass(1)
	conn, r := h.call(t)
	fmt.Fprint(conn, request("POST", "/quick/a", ""))
	answer(t, r, "POST /quick/a ")
	h.guests(t, 1, func(g *guest) bool { return g.idle })
	h.pass(50)
	whole := request("POST", "/quick/b", "body")
	fmt.Fprint(conn, whole[:20])
	h.guests(t, 1, func(g *guest) bool { return !g.idle })
	h.pass(5)
	fmt.Fprint(conn, whole[20:])
	answer(t, r, "POST /quick/b body")
}

// Frames that come with a request that net/http has to read.
func TestFramesBehindARequestThatIsShownIn(t *testing.T) {
	h := newHouse(t, calm)
	conn, r := h.call(t)
	var all bytes.Buffer
	all.WriteString(upgrade("X-Twice: a\r\nX-Twice: b\r\n"))
	const many = 700
	for i := range many {
		all.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(fmt.Appendf(nil, "frame %d", i)))))
	}
	_, _ = conn.Write(all.Bytes())
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	p := &peer{t: t, Conn: conn, r: r}
	for i := range many {
		p.hear(fmt.Sprintf("frame %d", i))
	}
}
