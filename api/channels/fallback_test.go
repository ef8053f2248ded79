package channels

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

const transports = "xhr_streaming xhr"

// caller is a raw client of the HTTP transports.
type caller struct {
	t         *testing.T
	h         *house
	transport string
	path      string // up to the session
	header    http.Header
	body      io.ReadCloser
	lines     *bufio.Reader
	frames    []string // heard and not yet taken
	id        diaphone.SocketID
}

// call opens a session; query follows the path.
func (h *house) call(t *testing.T, transport, key, session string, header http.Header) *caller {
	c := &caller{t: t, h: h, transport: transport, path: "/pusher/app/" + key + "/418/" + session, header: header}
	t.Cleanup(c.hangUp)
	return c
}

// greet takes the greeting of a session that is let in.
func (c *caller) greet() *caller {
	c.t.Helper()
	c.expectLine("o")
	f := c.hear()
	var data struct {
		SocketID diaphone.SocketID `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(f.text()), &data); err != nil || f.Event != "pusher:connection_established" {
		c.t.Fatalf("greeted with %+v", f)
	}
	c.id = data.SocketID
	return c
}

func (c *caller) post(transport, body string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.h.url+c.path+"/"+transport+"?protocol=7&client=js&t=1&n=1", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := c.h.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// line gives the next line that is no heart-beat, of as many requests as it takes.
func (c *caller) line() string {
	c.t.Helper()
	for {
		if c.lines == nil {
			res := c.post(c.transport, "")
			if res.StatusCode != http.StatusOK {
				c.t.Fatalf("%s: %d", c.transport, res.StatusCode)
			}
			c.body, c.lines = res.Body, bufio.NewReader(res.Body)
		}
		l, err := c.lines.ReadString('\n')
		if err == nil && !strings.HasPrefix(l, "h") {
			return strings.TrimSuffix(l, "\n")
		}
		if err != nil {
			c.hangUp()
		}
	}
}

// hangUp breaks off the request that listens.
func (c *caller) hangUp() {
	if c.lines != nil {
		_ = c.body.Close()
		c.lines = nil
	}
}

func (c *caller) expectLine(want string) {
	c.t.Helper()
	if got := c.line(); got != want {
		c.t.Fatalf("heard %q, want %q", got, want)
	}
}

func (c *caller) hear() frame {
	c.t.Helper()
	for len(c.frames) == 0 {
		l := c.line()
		if err := json.Unmarshal([]byte(strings.TrimPrefix(l, "a")), &c.frames); err != nil || l[0] != 'a' {
			c.t.Fatalf("heard %q", l)
		}
	}
	var f frame
	if err := json.Unmarshal([]byte(c.frames[0]), &f); err != nil {
		c.t.Fatal(err)
	}
	c.frames = c.frames[1:]
	return f
}

func (c *caller) say(event string, data any) {
	c.t.Helper()
	message, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := json.Marshal([]string{string(message)})
	if err != nil {
		c.t.Fatal(err)
	}
	res := c.post("xhr_send", string(body))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		c.t.Fatalf("xhr_send: %d", res.StatusCode)
	}
}

// expectClosed hears an error event of the code, and the close with it.
func (c *caller) expectClosed(code, part string) {
	c.t.Helper()
	if f := c.hear(); f.Event != "pusher:error" || !strings.Contains(string(f.Data), code) {
		c.t.Fatalf("heard %+v, want error %s", f, code)
	}
	if l := c.line(); !strings.HasPrefix(l, "c["+code+`,"`) || !strings.Contains(l, part) {
		c.t.Fatalf("heard %q, want a close with %s and %q", l, code, part)
	}
}

func overHTTP(t *testing.T, test func(t *testing.T, transport string)) {
	t.Helper()
	for transport := range strings.SplitSeq(transports, " ") {
		t.Run(transport, func(t *testing.T) { test(t, transport) })
	}
}

func TestHTTPClientsAreClientsLikeAny(t *testing.T) {
	overHTTP(t, func(t *testing.T, transport string) {
		h := open(t)
		v := h.join()
		v.ask("presence-room", `{"user_id":"vera"}`)
		v.hear()

		c := h.call(t, transport, "app-key", "abcdefg0", nil).greet()
		const data = `{"user_id":"carl"}`
		auth := "app-key:" + sign("app-secret", channelText(c.id, "presence-room", data))
		c.say("pusher:subscribe", map[string]string{"channel": "presence-room", "auth": auth, "channel_data": data})
		if f := c.hear(); f.Event != "pusher_internal:subscription_succeeded" || !strings.Contains(f.text(), `"ids":["vera","carl"]`) {
			t.Fatalf("heard %+v", f)
		}
		v.expect("pusher_internal:member_added", "presence-room", `{"user_id":"carl","user_info":{}}`)
		h.publish(`{"name":"e","data":"1","channel":"presence-room"}`)
		if f := c.hear(); f.Event != "e" || f.text() != "1" {
			t.Fatalf("heard %+v", f)
		}
		v.expect("e", "presence-room", "1")
		c.say("pusher:made-up", nil)
		if f := c.hear(); f.Event != "pusher:error" {
			t.Fatalf("heard %+v", f)
		}
		if n := h.hub.Stats().Connections; n != 2 {
			t.Errorf("%d connections are counted", n)
		}
		if transport == "xhr_streaming" { // a poll has ended, and nothing tells that no other will come
			c.hangUp()
			v.expect("pusher_internal:member_removed", "presence-room", `{"user_id":"carl"}`)
		}
	})
}

func TestRefusedOverHTTP(t *testing.T) {
	overHTTP(t, func(t *testing.T, transport string) {
		h := openAt(t, "",
			diaphone.App{ID: "1", Keys: testApps[0].Keys, Limits: diaphone.Limits{Connections: 1}},
			diaphone.App{ID: "2", Keys: testApps[1].Keys, Channels: diaphone.ChannelSettings{Origins: []diaphone.Origin{"https://example.com"}}},
		)
		refused := func(key, session string, header http.Header, code, part string) {
			t.Helper()
			c := h.call(t, transport, key, session, header)
			c.expectLine("o")
			c.expectClosed(code, part)
		}
		refused("nobody", "abcdefg0", nil, "4001", "nobody")
		refused("key2", "abcdefg0", http.Header{"Origin": {"https://example.org"}}, "4009", "https://example.org")
		h.call(t, transport, "key2", "abcdefg1", http.Header{"Origin": {"https://example.com"}}).greet()
		v := h.join()
		refused("app-key", "abcdefg0", nil, "4004", "quota")
		_ = v.conn.Close()
		eventually(t, "the WebSocket is counted out", func() bool { return h.hub.Stats().Connections == 1 })
		h.call(t, transport, "app-key", "abcdefg1", nil).greet()
		refused("app-key", "abcdefg2", nil, "4004", "quota")
	})
}

func TestProtocolVersionsOverHTTP(t *testing.T) {
	h := open(t)
	for query, want := range map[string]string{
		"abcdefg0/xhr":             "pusher:connection_established",
		"abcdefg1/xhr?protocol=5":  "pusher:connection_established",
		"abcdefg2/xhr?protocol=99": `c[4007,`,
		"abcdefg3/xhr?protocol=x":  `c[4006,`,
	} {
		_, body := h.raw(http.MethodPost, "/pusher/app/app-key/1/"+query, "")
		if !strings.Contains(body, want) {
			t.Errorf("%q: %s", query, body)
		}
	}
}

func TestDrainOverHTTP(t *testing.T) {
	overHTTP(t, func(t *testing.T, transport string) {
		h := open(t)
		var all []*caller
		for _, session := range []string{"abcdefg0", "abcdefg1", "abcdefg2"} {
			all = append(all, h.call(t, transport, "app-key", session, nil).greet())
		}
		const window = 200 * time.Millisecond
		began := time.Now()
		var drained sync.WaitGroup
		drained.Go(func() { h.hub.Drain(context.Background(), window) })
		var heard sync.WaitGroup
		for _, c := range all {
			heard.Go(func() { c.expectLine(`c[4200,"server is restarting"]`) })
		}
		heard.Wait()
		drained.Wait()
		if took := time.Since(began); took > patience/2 {
			t.Errorf("drained in %v", took)
		}
		late := h.call(t, transport, "app-key", "abcdefg3", nil)
		late.expectLine("o")
		late.expectClosed("4100", "restarting")
	})
}

func TestCrossOrigin(t *testing.T) {
	h := openAt(t, "/mounted")
	const base = "/pusher/app/app-key/418/abcdefg0/"
	for _, transport := range []string{"xhr_streaming", "xhr", "xhr_send"} {
		for origin, want := range map[string]string{"https://example.com": "https://example.com", "null": "null", "": "*"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, h.url+base+transport, nil)
			if err != nil {
				t.Fatal(err)
			}
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			res, err := h.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			got := []string{res.Header.Get("Access-Control-Allow-Origin"), res.Header.Get("Access-Control-Allow-Methods"), res.Header.Get("Access-Control-Allow-Headers"), res.Header.Get("Vary")}
			if res.StatusCode != http.StatusNoContent || !slices.Equal(got, []string{want, "POST", "Content-Type", "Origin"}) {
				t.Errorf("%s from %q: %d %q", transport, origin, res.StatusCode, got)
			}
			if _, credentials := res.Header["Access-Control-Allow-Credentials"]; credentials {
				t.Error("credentials are allowed")
			}
		}
	}
	c := h.call(t, "xhr", "app-key", "abcdefg0", http.Header{"Origin": {"https://example.com"}}).greet()
	for transport, body := range map[string]string{"xhr_send": "[]", "xhr": ""} {
		if transport == "xhr" {
			c.say("pusher:ping", nil) // or the poll would wait
		}
		res := c.post(transport, body)
		_ = res.Body.Close()
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != "https://example.com" {
			t.Errorf("%s may be read by %q", transport, got)
		}
	}
}

func TestPathsOfSessions(t *testing.T) {
	h := open(t)
	for path, status := range map[string]int{
		"418/abcdefgh/xhr":                         200,
		"0/0123456789abcdefghijklmnopqrstuv/xhr":   200,
		"1000/abcdefgh/xhr":                        404,
		"x/abcdefgh/xhr":                           404,
		"418/short12/xhr":                          404,
		"418/" + strings.Repeat("x", 65) + "/xhr":  404,
		"418/abcd%2Fefgh/xhr":                      404,
		"418/abcdéfgh/xhr":                         404,
		"418/abcdefgh/websocket":                   404,
		"418/abcdefgh/jsonp":                       404,
		"418/neverseen/xhr_send":                   404,
		"../nobody/418/neverseen/xhr_send":         404,
		"418/abcdefgh/xhr_streaming/":              404,
		"418/abcdefgh":                             404,
		"418/%00%00%00%00%00%00%00%00/xhr_send":    404,
		"419/abcdefgh/xhr?protocol=7&client=js%zz": 200,
	} {
		if got, body := h.raw(http.MethodPost, "/pusher/app/app-key/"+path, ""); got != status {
			t.Errorf("%s: %d %s, want %d", path, got, body, status)
		}
	}
}

// The largest client event that the app allows fits, however it is escaped.
func TestTheLargestMessageOverHTTP(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{ClientEvents: true}, diaphone.Limits{})
	c := h.call(t, "xhr_streaming", "app-key", "abcdefg0", nil).greet()
	for _, channel := range []diaphone.ChannelName{"private-room"} {
		c.say("pusher:subscribe", map[string]string{"channel": string(channel), "auth": "app-key:" + sign("app-secret", channelText(c.id, channel, ""))})
		c.hear()
	}
	v := h.join()
	v.subscribe("private-room")
	for _, text := range []string{strings.Repeat(`"`, diaphone.DefaultEventBytes), strings.Repeat("é", diaphone.DefaultEventBytes/2)} {
		message, _ := json.Marshal(map[string]string{"event": "client-e", "channel": "private-room", "data": text})
		body, _ := json.Marshal([]string{string(message)})
		res := c.post("xhr_send", string(body))
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNoContent {
			t.Fatalf("xhr_send of %d bytes: %d", len(body), res.StatusCode)
		}
		v.expect("client-e", "private-room", text)
	}
	res := c.post("xhr_send", `["`+strings.Repeat("x", 1<<20)+`"]`)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a megabyte: %d", res.StatusCode)
	}
}
