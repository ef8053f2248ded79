package conformance

import (
	"net/http"
	"testing"

	"github.com/gobwas/ws"
)

const subprotocol = "pusher-channels-protocol-7"

// Lines 1 to 4.
var rawConnections = map[string]func(*testing.T, *gateway){
	"greeting": func(t *testing.T, g *gateway) {
		for _, query := range []string{"protocol=5", "protocol=6", "protocol=7&client=js&version=8.6.0&flash=false", "", "client=x&t=1&n=2"} {
			g.join(t, "main", query).alive()
		}
	},

	"sub-protocol": func(t *testing.T, g *gateway) {
		for offered, want := range map[string]string{subprotocol: subprotocol, "": "", "chat": ""} {
			d := ws.Dialer{}
			if offered != "" {
				d.Protocols = []string{offered}
			}
			p, shaken := g.dial(t, "/app/app-key?protocol=7", d)
			p.greeted()
			if shaken.Protocol != want {
				t.Errorf("offered %q, answered %q", offered, shaken.Protocol)
			}
		}
	},

	"unknown-key": func(t *testing.T, g *gateway) {
		for _, key := range []string{"nobody", "last-key"} {
			turnedAway(t, g, "/app/"+key+"?protocol=7", "4001", 4001)
		}
	},
	"disabled": func(t *testing.T, g *gateway) {
		turnedAway(t, g, "/app/disabled-key?protocol=7", "4003", 4003)
		g.expect(t, request{app: "disabled", path: "/events", body: `{"name":"e","data":"1","channel":"x"}`}, http.StatusForbidden, "disabled")
	},
	"tls-only": func(t *testing.T, g *gateway) {
		turnedAway(t, g, "/app/tls-key?protocol=7", "4000", 4000)
		pretends := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"X-Forwarded-Proto": {"https"}, "Forwarded": {"proto=https"}}}
		p, _ := g.dial(t, "/app/tls-key?protocol=7", pretends)
		p.expectError("4000", "")
		p.expectClose(4000)
	},
	"protocol-99": func(t *testing.T, g *gateway) {
		for _, version := range []string{"99", "4", "0", "-1"} {
			turnedAway(t, g, "/app/app-key?protocol="+version, "4007", 4007)
		}
		turnedAway(t, g, "/app/app-key?protocol=seven", "4006", 4006)
	},
	"wrong-path": func(t *testing.T, g *gateway) {
		for _, path := range []string{"/", "/app", "/app/", "/app/app-key/more", "/ws/app/app-key"} {
			turnedAway(t, g, path, "4005", 4005)
		}
	},
	// Clients fill the same app at the same time: one of two is too many in any case.
	"over-quota": func(t *testing.T, g *gateway) {
		refused := 0
		for range 2 {
			p, _ := g.dial(t, "/app/full-key?protocol=7", ws.Dialer{})
			if f := p.hear(); f.Event == "pusher:error" {
				refused++
				p.expectClose(4004)
			}
		}
		if refused == 0 {
			t.Error("both were let in")
		}
	},

	"ping-event": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		for _, ping := range []string{`,"data":{}`, `,"data":"{}"`, `,"data":""`, `,"data":null`, ``} {
			p.say(`{"event":"pusher:ping"` + ping + `}`)
			p.expect("pusher:pong", "", "{}")
		}
	},
	"ping-frame": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		for _, payload := range []string{"", "id", string(make([]byte, 125))} {
			p.write(ws.NewPingFrame([]byte(payload)))
			if f := p.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != payload {
				t.Fatalf("answered by %v %q", f.Header.OpCode, f.Payload)
			}
		}
	},

	"binary": func(t *testing.T, g *gateway) {
		closes(t, g, ws.NewBinaryFrame([]byte(`{"event":"pusher:ping"}`)), 1003)
	},
	"broken-json": nonsense("not a JSON object", ``, `{`, `[]`, `"pusher:ping"`, `7`, `{"event":"pusher:ping"`, `{"event":"pusher:ping"}}`),
	"no-event":    nonsense("event is missing", `null`, `{}`, `{"data":{}}`, `{"event":null}`, `{"event":7}`, `{"event":["pusher:ping"]}`, `{"event":""}`),
	"data-type": func(t *testing.T, g *gateway) {
		nonsense("",
			`{"event":"pusher:subscribe"}`,
			`{"event":"pusher:subscribe","data":7}`,
			`{"event":"pusher:subscribe","data":[]}`,
			`{"event":"pusher:subscribe","data":"x"}`,
			`{"event":"pusher:subscribe","data":{"channel":7}}`,
			`{"event":"pusher:subscribe","data":{"channel":{"a":1},"auth":[]}}`,
			`{"event":"pusher:unsubscribe","data":{"channel":["a"]}}`,
			`{"event":"pusher:signin","data":{"user_data":{"id":"1"},"auth":7}}`,
			`{"event":"pusher:signin","data":{"user_data":"[]","auth":{}}}`,
			`{"event":"client-x","channel":{"a":1},"data":{}}`,
		)(t, g)
		// These name a channel, so its subscription_error comes as well.
		p := g.join(t, "main", "protocol=7")
		for _, args := range []string{`"auth":7`, `"auth":{}`, `"auth":null`, `"auth":"x","channel_data":{}`, `"auth":"app-key:","channel_data":[]`} {
			p.say(`{"event":"pusher:subscribe","data":{"channel":"presence-x",` + args + `}}`)
			p.expectError("null", "")
			if f := p.hear(); f.Event != "pusher:subscription_error" {
				t.Errorf("%s: %s", args, f)
			}
			p.alive()
		}
	},
	"unsupported": nonsense("Unsupported event received on socket: ", `{"event":"made-up","data":{}}`, `{"event":"pusher:made-up"}`,
		`{"event":"pusher:error","data":{}}`, `{"event":"pusher_internal:member_added","channel":"presence-x","data":"{}"}`),
	"too-big": func(t *testing.T, g *gateway) {
		closes(t, g, ws.NewTextFrame(make([]byte, 1<<20)), 1009)
		closes(t, g, ws.NewTextFrame([]byte("\xff")), 1007)
	},
}

// turnedAway: the upgrade is accepted, then an error event and the close tell why.
func turnedAway(t *testing.T, g *gateway, path, code string, closed int) {
	t.Helper()
	p, _ := g.dial(t, path, ws.Dialer{})
	p.expectError(code, "")
	p.expectClose(closed)
}

// nonsense is answered by an error, and the connection stays.
func nonsense(part string, payloads ...string) func(*testing.T, *gateway) {
	return func(t *testing.T, g *gateway) {
		t.Helper()
		p := g.join(t, "main", "protocol=7")
		for _, payload := range payloads {
			p.say(payload)
			p.expectError("null", part)
			p.alive()
		}
	}
}

// closes: the frame ends its connection with the code, and no other.
func closes(t *testing.T, g *gateway, f ws.Frame, code int) {
	t.Helper()
	other := g.join(t, "main", "protocol=7")
	p := g.join(t, "main", "protocol=7")
	p.write(f)
	p.expectClose(code)
	other.alive()
	if status, _ := g.send(http.MethodGet, "/readyz", ""); status != http.StatusOK {
		t.Errorf("the gateway is not ready: %d", status)
	}
}
