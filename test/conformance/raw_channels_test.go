package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Lines 6 to 12, as far as clients cannot be made to go wrong like this.
var rawChannels = map[string]func(*testing.T, *gateway){
	"auth-missing": func(t *testing.T, g *gateway) {
		for _, channel := range []string{"private-x", "presence-x", "private-encrypted-x", "private-cache-x", "presence-cache-x"} {
			for _, auth := range []string{``, `,"auth":""`, `,"auth":null`} {
				p := g.join(t, "main", "protocol=7")
				p.say(`{"event":"pusher:subscribe","data":{"channel":"` + channel + `"` + auth + `}}`)
				p.denied(channel, "AuthError", "Auth info required")
			}
		}
	},
	"auth-bytes": func(t *testing.T, g *gateway) {
		_, vectors := loadVectors(t)
		a7, a8 := memberOf(find(t, vectors, "A7")), memberOf(find(t, vectors, "A8"))
		for _, member := range []string{a7, a8} {
			g.join(t, "main", "protocol=7").enter("presence-bytes", member)
		}
		p := g.join(t, "main", "protocol=7")
		p.say(`{"event":"pusher:subscribe","data":{"channel":"presence-bytes","auth":` + quote(p.auth("presence-bytes", a8)) + `,"channel_data":` + quote(a7) + `}}`)
		p.denied("presence-bytes", "AuthError", "Invalid signature")
	},

	"name-length": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.enter(strings.Repeat("n", 164), "")
		p.illegal(strings.Repeat("n", 165))
	},
	"name-punctuation": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		for _, c := range "_-=@,.;" {
			name := "raw" + string(c)
			p.enter(name, "")
			g.publish(t, `{"name":"e","data":"1","channels":["`+name+`"]}`)
			p.expect("e", name, "1")
			g.expect(t, request{method: http.MethodGet, path: "/channels/" + name}, 200, `{"occupied":true}`)
		}
	},
	"name-hash": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		for _, name := range []string{"#x", "#", "#server-to-user", "a#b"} {
			p.illegal(name)
		}
		p.ask("#server-to-user-", "")
		p.denied("#server-to-user-", "", "")
	},
	"name-empty":   illegalNames(""),
	"name-unicode": illegalNames("ü", "private-ü", "☕"),
	"name-space":   illegalNames(" ", "a b", "a\n", "a\x00", "a/b", "a:b"),

	"presence-full": func(t *testing.T, g *gateway) {
		first := g.join(t, "plain", "protocol=7")
		first.enter("presence-full", `{"user_id":"0"}`)
		for i := 1; i < 100; i++ {
			g.join(t, "plain", "protocol=7").enter("presence-full", fmt.Sprintf(`{"user_id":"%d"}`, i))
			first.expect("pusher_internal:member_added", "presence-full", fmt.Sprintf(`{"user_id":"%d","user_info":{}}`, i))
		}
		late := g.join(t, "plain", "protocol=7")
		late.ask("presence-full", `{"user_id":"100"}`)
		late.denied("presence-full", "LimitReached", "as many members as it may")
		g.join(t, "plain", "protocol=7").enter("presence-full", `{"user_id":"99"}`)
		first.alive()
	},
	"presence-info-size": func(t *testing.T, g *gateway) {
		info := func(n int) string { return `{"user_id":"1","user_info":"` + strings.Repeat("x", n-2) + `"}` }
		p := g.join(t, "main", "protocol=7")
		p.enter("presence-size", info(1024))
		p.ask("presence-size2", info(1025))
		p.denied("presence-size2", "LimitReached", "1024 bytes")
	},
	"presence-id": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.enter("presence-id", `{"user_id":"`+strings.Repeat("é", 128)+`"}`)
		for _, id := range []string{`"` + strings.Repeat("x", 129) + `"`, `""`, `null`, `1.5`, `true`, `{}`, `["1"]`} {
			p.ask("presence-id2", `{"user_id":`+id+`}`)
			p.denied("presence-id2", "InvalidSubscription", "user_id")
		}
		for _, data := range []string{`{}`, `[]`, `x`, `"1"`} {
			p.ask("presence-id2", data)
			p.denied("presence-id2", "InvalidSubscription", "channel_data")
		}
	},
	"presence-hash": func(t *testing.T, g *gateway) {
		for i, data := range []string{`{"user_id":"1"}`, `{"user_id":2,"user_info":null}`, `{"user_id":"3","user_info":[]}`, `{"user_id":"4","user_info":{"a":1}}`} {
			f := g.join(t, "main", "protocol=7").enter("presence-hash", data)
			want := []string{`{"presence":{"ids":["1"],"hash":{"1":{}},"count":1}}`,
				`{"presence":{"ids":["1","2"],"hash":{"1":{},"2":{}},"count":2}}`,
				`{"presence":{"ids":["1","2","3"],"hash":{"1":{},"2":{},"3":[]},"count":3}}`,
				`{"presence":{"ids":["1","2","3","4"],"hash":{"1":{},"2":{},"3":[],"4":{"a":1}},"count":4}}`}[i]
			if f.text() != want {
				t.Errorf("%s: %s, want %s", data, f.text(), want)
			}
		}
	},
	"presence-signed-in": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.ask("presence-nobody", "")
		p.denied("presence-nobody", "InvalidSubscription", "not signed in")
	},

	"cache-miss": func(t *testing.T, g *gateway) {
		for _, name := range []string{"cache-raw", "private-cache-raw", "private-encrypted-cache-raw"} {
			p := g.join(t, "main", "protocol=7")
			p.enter(name, "")
			p.expect("pusher:cache_miss", name, "{}")
		}
	},

	"whisper-string": func(t *testing.T, g *gateway) {
		a, b := g.join(t, "main", "protocol=7"), g.join(t, "main", "protocol=7")
		a.enter("private-string", "")
		b.enter("private-string", "")
		for data, want := range map[string]string{`{"a": [1, "ü"]}`: `{"a":[1,"ü"]}`, `"text"`: `text`, `7`: `7`, `null`: `null`, `"{\"a\": 1}"`: `{"a": 1}`} {
			a.say(`{"event":"client-x","channel":"private-string","data":` + data + `}`)
			b.expect("client-x", "private-string", want)
		}
		a.alive()
	},
	"whisper-rate": func(t *testing.T, g *gateway) {
		a, b := g.join(t, "main", "protocol=7"), g.join(t, "main", "protocol=7")
		a.enter("private-rate", "")
		b.enter("private-rate", "")
		for range 11 {
			a.say(`{"event":"client-x","channel":"private-rate","data":1}`)
		}
		a.expectError("4301", "10 a second")
		a.alive()
		g.publish(t, `{"name":"last","data":"1","channel":"private-rate"}`)
		for range 10 {
			b.expect("client-x", "private-rate", "1")
		}
		b.hearNamed("last")
	},
}

// denied: hosted's error of the connection, then the channel's error, and the
// connection stays.
func (p *peer) denied(channel, kind, part string) {
	p.t.Helper()
	p.expectError("null", part)
	f := p.hear()
	var data struct {
		Type, Error string
		Status      int
	}
	if f.Event != "pusher:subscription_error" || f.Channel != channel && len(channel) < 165 ||
		json.Unmarshal([]byte(f.text()), &data) != nil || kind != "" && data.Type != kind || data.Status < 400 {
		p.t.Fatalf("heard %s; want subscription_error of type %s on %q", f, kind, channel)
	}
	p.alive()
}

func (p *peer) illegal(name string) {
	p.t.Helper()
	p.ask(name, "")
	p.denied(name, "InvalidSubscription", "Invalid channel name")
}

// hearNamed takes an event by its name alone.
func (p *peer) hearNamed(event string) {
	p.t.Helper()
	if f := p.hear(); f.Event != event {
		p.t.Fatalf("heard %s; want %s", f, event)
	}
}

func illegalNames(names ...string) func(*testing.T, *gateway) {
	return func(t *testing.T, g *gateway) {
		t.Helper()
		p := g.join(t, "main", "protocol=7")
		for _, name := range names {
			p.illegal(name)
			status, text := g.do(t, request{path: "/events", body: `{"name":"e","data":"1","channels":[` + strconv.Quote(name) + `]}`})
			if status != http.StatusBadRequest {
				t.Errorf("publishing to %q: %d %s", name, status, text)
			}
		}
	}
}

func find(t *testing.T, vectors []vector, id string) vector {
	t.Helper()
	for _, v := range vectors {
		if v["id"] == id {
			return v
		}
	}
	t.Fatalf("there is no vector %s", id)
	return nil
}

// memberOf gives the channel_data that an A vector signs.
func memberOf(v vector) string {
	parts := strings.SplitN(v["string_to_sign"], ":", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[2]
}
