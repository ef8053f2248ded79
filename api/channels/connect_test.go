package channels

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone"
)

func TestGreeting(t *testing.T) {
	h := open(t)
	for _, query := range []string{"", "?protocol=5", "?protocol=6", "?protocol=7&client=js&version=8.6.0&flash=false&x=y"} {
		h.joinAs("/app/app-key" + query).expectNothing()
	}
	h.joinAs("/app/next-key").expectNothing()
}

func TestRefusedConnections(t *testing.T) {
	h := open(t)
	for path, code := range map[string]int{
		"/app/nobody?protocol=7":    codeUnknownApp,
		"/app/app-key?protocol=4":   codeBadProtocol,
		"/app/app-key?protocol=99":  codeBadProtocol,
		"/app/app-key?protocol=x":   codeBadVersion,
		"/app/app-key/x?protocol=7": codeNoPath,
		"/app/":                     codeNoPath,
		"/app":                      codeNoPath,
		"/ws/app/app-key":           codeNoPath,
		"/":                         codeNoPath,
	} {
		v := h.dial(path)
		v.expectError(code, "")
		v.expectClose(code)
	}
}

// A request that is no WebSocket hears of a mistyped path over HTTP.
func TestPathsOfNobody(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/", "/ws/app/app-key"} {
		if status, text := h.raw(http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestConnectionQuota(t *testing.T) {
	h := open(t)
	first := h.joinAs("/app/key2")
	h.joinAs("/app/key2")
	third := h.dial("/app/key2")
	third.expectError(codeOverQuota, "quota")
	third.expectClose(codeOverQuota)

	_ = first.conn.Close()
	eventually(t, "the first is counted out", func() bool { return h.hub.Stats().Connections == 1 })
	h.joinAs("/app/key2")
}

func TestOrigins(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{Origins: []diaphone.Origin{"https://*.example.com"}}, diaphone.Limits{})
	from := func(origin string) *visitor {
		return h.dialWith("/app/app-key", ws.HandshakeHeaderHTTP{"Origin": []string{origin}})
	}
	if f := from("https://www.example.com").hear(); f.Event != "pusher:connection_established" {
		t.Errorf("heard %+v", f)
	}
	h.join() // a program that is no browser
	for _, origin := range []string{"https://example.org", "null"} {
		v := from(origin)
		v.expectError(codeUnauthorised, origin)
		v.expectClose(codeUnauthorised)
	}
}

func TestSubprotocolIsEchoed(t *testing.T) {
	h := open(t)
	for offered, want := range map[string]string{subprotocol: subprotocol, "graphql-ws": ""} {
		d := ws.Dialer{Protocols: []string{offered}}
		conn, _, hs, err := d.Dial(context.Background(), "ws"+strings.TrimPrefix(h.url, "http")+"/app/app-key")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if hs.Protocol != want {
			t.Errorf("offered %q, got %q", offered, hs.Protocol)
		}
	}
}

func TestPingsInEveryForm(t *testing.T) {
	v := open(t).join()
	for _, ping := range []string{
		`{"event":"pusher:ping","data":{}}`,
		`{"event":"pusher:ping","data":"{}"}`,
		`{"event":"pusher:ping","data":null}`,
		`{"event": "pusher:ping"}`,
	} {
		v.say(ping)
		v.expect("pusher:pong", "", "{}")
	}
	if err := ws.WriteFrame(v.conn, ws.MaskFrame(ws.NewPingFrame([]byte("id")))); err != nil {
		t.Fatal(err)
	}
	if f := v.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "id" {
		t.Fatalf("a ping frame was answered by %v %q", f.Header.OpCode, f.Payload)
	}
	v.say(`{"event":"pusher:pong","data":{}}`)
	v.expectNothing()
}

// Whatever a client says, it gets an answer and the connection stays.
func TestNonsense(t *testing.T) {
	v := open(t).join()
	for payload, part := range map[string]string{
		``:                                       "not a JSON object",
		`{`:                                      "not a JSON object",
		`[]`:                                     "not a JSON object",
		`"pusher:ping"`:                          "not a JSON object",
		`null`:                                   "event is missing",
		`{}`:                                     "event is missing",
		`{"event":7}`:                            "event is missing",
		`{"event":""}`:                           "event is missing",
		`{"event":"made-up","data":{}}`:          "Unsupported event received on socket: made-up",
		`{"event":"pusher:made-up"}`:             "Unsupported event",
		`{"event":"client-x","channel":"a"}`:     "client events",
		`{"event":"pusher:subscribe"}`:           "channel is missing",
		`{"event":"pusher:subscribe","data":[]}`: "not an object",
		`{"event":"pusher:subscribe","data":"x"}`:                         "not an object",
		`{"event":"pusher:subscribe","data":{"channel":7}}`:               "channel is missing",
		`{"event":"pusher:unsubscribe","data":{"channel":["a"]}}`:         "No current subscription",
		`{"event":"pusher:unsubscribe","data":7}`:                         "not an object",
		`{"event":"pusher:signin"}`:                                       "user_data",
		`{"event":"pusher:signin","data":{"user_data":{"id":"1"}}}`:       "user_data",
		`{"event":"pusher:signin","data":{"user_data":"{}","auth":7}}`:    "Invalid key",
		`{"event":"pusher:signin","data":{"user_data":"{}","auth":"k"}}`:  "Invalid key",
		`{"event":"pusher:signin","data":{"user_data":"{}","auth":":x"}}`: "Invalid key",
	} {
		t.Run(payload, func(t *testing.T) {
			v.t = t
			v.say(payload)
			v.expectError(nil, part)
			v.expectNothing()
		})
	}
}

func TestFramesThatClose(t *testing.T) {
	h := open(t)
	for code, f := range map[int]ws.Frame{
		1003: ws.NewBinaryFrame([]byte("x")),
		1007: ws.NewTextFrame([]byte("\xff")),
		1009: ws.NewTextFrame(make([]byte, 1<<20)),
	} {
		v := h.join()
		if err := ws.WriteFrame(v.conn, ws.MaskFrame(f)); err != nil {
			t.Fatal(err)
		}
		v.expectClose(code)
	}
}

func TestDrain(t *testing.T) {
	h := open(t)
	const many = 20
	var all []*visitor
	for range many {
		v := h.join()
		v.subscribe("news")
		all = append(all, v)
	}
	began := time.Now()
	var drained time.Duration
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.hub.Drain(context.Background(), 200*time.Millisecond)
		drained = time.Since(began)
	}()
	for _, v := range all {
		v.expectClose(4200)
		_ = ws.WriteFrame(v.conn, ws.MaskFrame(ws.NewCloseFrame(nil)))
	}
	<-done
	if drained < 180*time.Millisecond {
		t.Errorf("drained in %v", drained)
	}
	late := h.dial("/app/app-key")
	late.expectError(codeTryElsewhere, "restarting")
	late.expectClose(codeTryElsewhere)
	if s := h.hub.Stats(); s.Connections != 0 || s.Channels != 0 {
		t.Errorf("left over: %+v", s)
	}
}

func TestDrainInAHurry(t *testing.T) {
	h := open(t)
	v := h.join()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h.hub.Drain(ctx, time.Hour)
	v.expectClose(4200)
}

func TestPathPrefix(t *testing.T) {
	h := openAt(t, "/pusher")
	v := h.join()
	v.subscribe("news")
	// The SDK sends the prefix and does not sign it; h.url carries it.
	h.publish(`{"name":"e","data":"1","channel":"news"}`)
	v.expect("e", "news", "1")
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatal(fmt.Sprint("in vain: ", what))
}
