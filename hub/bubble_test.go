package hub

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// bubble is a running hub whose clock is fake and whose connections are pipes.
type bubble struct {
	*Hub
	t   *testing.T
	app diaphone.App
	all []*guest

	mu   sync.Mutex
	told []string // through Config.Notice
}

func (b *bubble) notice(_ *diaphone.App, n diaphone.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, noticed(n))
}

func inBubble(t *testing.T, app diaphone.App, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, app: app}
		b.Hub = New(Config{Notice: b.notice})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = b.Run(ctx) })
		test(b)
		for _, g := range b.all {
			_ = g.far.Close()
		}
		cancel()
		run.Wait()
	})
}

// guest is a session that the test itself steers, while nothing else does.
type guest struct {
	*Session
	b     *bubble
	far   net.Conn
	mu    sync.Mutex
	heard []string
	code  int  // of the close frame
	numb  bool // reads, and answers no ping
}

func (b *bubble) visit() *guest {
	b.t.Helper()
	near, far := net.Pipe()
	g := &guest{b: b, far: far}
	b.all = append(b.all, g)
	go g.listen()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://hub/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(k, v)
	}
	err = b.Engine().Upgrade(hijacked{near}, r, "", func(c *sockets.Conn) sockets.Handler {
		if g.Session, err = b.Open(&b.app, c, plain{}); err != nil {
			b.t.Fatal(err)
		}
		return commands{g.Session}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

// hijacked is the answer to a request that becomes a pipe.
type hijacked struct{ conn net.Conn }

func (h hijacked) Header() http.Header         { return http.Header{} }
func (h hijacked) Write(p []byte) (int, error) { return h.conn.Write(p) }
func (h hijacked) WriteHeader(int)             {}
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

func (g *guest) listen() {
	r := bufio.NewReader(g.far)
	if _, err := http.ReadResponse(r, nil); err != nil {
		return
	}
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(r, p); err != nil {
			return
		}
		switch h.OpCode {
		case ws.OpText:
			g.mu.Lock()
			g.heard = append(g.heard, string(p))
			g.mu.Unlock()
		case ws.OpPing:
			g.mu.Lock()
			numb := g.numb
			g.mu.Unlock()
			if !numb {
				_ = ws.WriteFrame(g.far, ws.MaskFrame(ws.NewPongFrame(p)))
			}
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(p)
			g.mu.Lock()
			g.code = int(code)
			g.mu.Unlock()
			_ = ws.WriteFrame(g.far, ws.MaskFrame(ws.NewCloseFrame(p)))
		}
	}
}

func (g *guest) join(c string) {
	g.b.t.Helper()
	if err := g.Join(diaphone.ChannelName(c), nil); err != nil {
		g.b.t.Fatal(err)
	}
}

// expect hears exactly these lines since it was last asked.
func (g *guest) expect(want ...string) {
	g.b.t.Helper()
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Equal(g.heard, want) {
		g.b.t.Fatalf("heard %q, want %q", g.heard, want)
	}
	g.heard = nil
}

// leave ends the session as a connection that breaks does.
func (g *guest) drop() {
	_ = g.far.Close()
	synctest.Wait()
}
