package fallback

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone/sockets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble is an engine and an HTTP server with its usual time-outs, whose clock is
// fake and whose network are pipes. The engine echoes what does not begin with "#".
type bubble struct {
	t      *testing.T
	engine *sockets.Engine
	table  *Sessions
	http   *http.Client
	stop   func() // ends the engine

	conns  chan *sockets.Conn
	heard  chan string // what begins with "#"
	pongs  chan uint64
	closed chan int
	apart  chan struct{} // while the engine may not read on; nil: it may
}

func inBubble(t *testing.T, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{
			t: t, engine: sockets.New(sockets.Config{}),
			conns: make(chan *sockets.Conn, 100), heard: make(chan string, 1000),
			pongs: make(chan uint64, 1000), closed: make(chan int, 100),
		}
		b.table = New(b.engine.Adopt)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = b.engine.Run(ctx) })
		b.stop = func() { cancel(); run.Wait() }
		network := make(pipes)
		web := &http.Server{Handler: b, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
		var serve sync.WaitGroup
		serve.Go(func() { _ = web.Serve(network) })
		transport := &http.Transport{DialContext: network.dial}
		b.http = &http.Client{Transport: transport}
		test(b)
		cancel()
		transport.CloseIdleConnections()
		_ = web.Close()
		serve.Wait()
		run.Wait()
		pass(2 * gap) // nobody is waited for any more
		b.table.mu.Lock()
		defer b.table.mu.Unlock()
		if len(b.table.open) != 0 {
			t.Errorf("%d sessions left", len(b.table.open))
		}
	})
}

// pass lets time go by in a bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // virtual time

// pipes is a network of one listener.
type pipes chan net.Conn

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return inProcess{} }

// ServeHTTP takes the last two pieces of the path for session and transport.
func (b *bubble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	piece := strings.Split(r.URL.Path, "/")
	id := ID{Key: "k", Origin: r.Header.Get("Origin"), Server: "1", Session: piece[1]}
	accept := func(c *sockets.Conn) sockets.Handler {
		b.conns <- c
		_ = c.Send(sockets.Text([]byte("hello")))
		return b
	}
	switch piece[2] {
	case "xhr_streaming":
		b.table.Stream(w, r, id, accept)
	case "xhr":
		b.table.Poll(w, r, id, accept)
	case "xhr_send":
		b.table.Send(w, r, id, 32<<10)
	}
}

func (b *bubble) OnMessage(c *sockets.Conn, p []byte) {
	if !strings.HasPrefix(string(p), "#") {
		_ = c.Send(sockets.Text(p))
		return
	}
	b.heard <- string(p)
	if wait := b.apart; wait != nil {
		c.Apart(func() { <-wait })
	}
}

func (b *bubble) OnPong(_ *sockets.Conn, fence uint64) { b.pongs <- fence }

func (b *bubble) OnClose(_ *sockets.Conn, code int) { b.closed <- code }

func (b *bubble) post(ctx context.Context, path, body string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host/"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// say speaks for the session.
func (b *bubble) say(session string, messages ...string) {
	b.t.Helper()
	if messages == nil {
		messages = []string{}
	}
	body, err := json.Marshal(messages)
	if err != nil {
		b.t.Fatal(err)
	}
	res := b.post(b.t.Context(), session+"/xhr_send", string(body))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		b.t.Errorf("xhr_send: %d", res.StatusCode)
	}
}

// poll gives the lines of one poll.
func (b *bubble) poll(session string) []string {
	b.t.Helper()
	res := b.post(b.t.Context(), session+"/xhr", "")
	defer func() { _ = res.Body.Close() }()
	all, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatalf("xhr: %d, %v", res.StatusCode, err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(all), "\n"), "\n")
}

// stream is an answer that is read line by line.
type stream struct {
	b      *bubble
	body   io.ReadCloser
	lines  *bufio.Reader
	length int // in UTF-16 units, as pusher-js counts
	cut    func()
}

func (b *bubble) stream(session string) *stream {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	res := b.post(ctx, session+"/xhr_streaming", "")
	s := &stream{b: b, body: res.Body, lines: bufio.NewReader(res.Body), cut: cancel}
	if l := s.line(); len(l) < 2048 || strings.Trim(l, "h") != "" {
		b.t.Fatalf("the stream begins with %.20q", l)
	}
	return s
}

// line gives the next line; empty at the end.
func (s *stream) line() string {
	s.b.t.Helper()
	l, err := s.lines.ReadString('\n')
	if err != nil {
		if err != io.EOF || l != "" { //nolint:errorlint // bufio gives it bare
			s.b.t.Fatalf("read a line: %q, %v", l, err)
		}
		return ""
	}
	s.length += len(utf16.Encode([]rune(l)))
	return strings.TrimSuffix(l, "\n")
}

func (s *stream) expect(lines ...string) {
	s.b.t.Helper()
	for _, want := range lines {
		if got := s.line(); got != want {
			s.b.t.Fatalf("heard %.200q, want %.200q", got, want)
		}
	}
}

// open streams a new session, and gives the engine's end.
func (b *bubble) open(session string) (*stream, *sockets.Conn) {
	b.t.Helper()
	s := b.stream(session)
	s.expect("o", `a["hello"]`)
	return s, <-b.conns
}

// messages reads an a line.
func messages(t *testing.T, line string) (all []string) {
	t.Helper()
	list, ok := strings.CutPrefix(line, "a")
	if !ok || json.Unmarshal([]byte(list), &all) != nil {
		t.Fatalf("no messages: %.200q", line)
	}
	return all
}
