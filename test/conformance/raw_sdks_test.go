package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// Line 19, for the SDKs that do not run here: their vectors, and the frames and
// requests that their sources write.
var rawSDKs = map[string]func(*testing.T, *gateway){
	"vectors-a": func(t *testing.T, g *gateway) {
		_, vectors := loadVectors(t)
		tried := 0
		for _, v := range vectors {
			if v["id"][0] != 'A' {
				continue
			}
			tried++
			if got := v["key"] + ":" + sign(v["secret"], v["string_to_sign"]); got != v["auth"] {
				t.Errorf("%s: %s, want %s", v["id"], got, v["auth"])
			}
			channel := strings.SplitN(v["string_to_sign"], ":", 3)[1]
			g.join(t, accountOf(v), "protocol=7").enter(channel, memberOf(v))
		}
		if tried != 9 {
			t.Errorf("%d vectors", tried)
		}
	},
	"vectors-u": func(t *testing.T, g *gateway) {
		_, vectors := loadVectors(t)
		for _, id := range []string{"U1", "U2"} {
			v := find(t, vectors, id)
			if got := v["key"] + ":" + sign(v["secret"], v["string_to_sign"]); got != v["auth"] {
				t.Errorf("%s: %s, want %s", id, got, v["auth"])
			}
			_, data, _ := strings.Cut(v["string_to_sign"], "::user::")
			p := g.join(t, accountOf(v), "protocol=7")
			p.say(`{"event":"pusher:signin","data":{"auth":` + quote(v["key"]+":"+sign(v["secret"], p.id+"::user::"+data)) + `,"user_data":` + quote(data) + `}}`)
			f := p.hear()
			var success struct {
				UserData string `json:"user_data"`
			}
			if f.Event != "pusher:signin_success" || json.Unmarshal(f.Data, &success) != nil || success.UserData != data {
				t.Errorf("%s: %s", id, f)
			}
		}
	},
	"vectors-negative": func(t *testing.T, g *gateway) {
		_, vectors := loadVectors(t)
		a4, a7, a8 := memberOf(find(t, vectors, "A4")), memberOf(find(t, vectors, "A7")), memberOf(find(t, vectors, "A8"))
		for _, c := range []struct{ what, channel, data, signs string }{
			{"A1 for another channel", "private-foobar", "", "%:private-foobar2"},
			{"A1 for another socket", "private-foobar", "", "1234.1235:private-foobar"},
			{"A4 without channel_data", "private-foobar", "", "%:private-foobar:" + a4},
			{"A4's data unsigned", "private-foobar", a4, "%:private-foobar"},
			{"A8's signature for A7", "presence-foobar", a7, "%:presence-foobar:" + a8},
			{"A1 in upper case", "private-foobar", "", ""},
		} {
			t.Run(c.what, func(t *testing.T) {
				p := g.join(t, "plain", "protocol=7")
				signature := sign(accounts["plain"].Secret, strings.Replace(c.signs, "%", p.id, 1))
				if c.signs == "" {
					_, lower, _ := strings.Cut(p.auth(c.channel, ""), ":")
					signature = strings.ToUpper(lower)
				}
				args := `"channel":"` + c.channel + `","auth":"` + accounts["plain"].Key + ":" + signature + `"`
				if c.data != "" {
					args += `,"channel_data":` + quote(c.data)
				}
				p.say(`{"event":"pusher:subscribe","data":{` + args + `}}`)
				p.denied(c.channel, "AuthError", "Invalid signature")
			})
		}
	},

	"vector-e1": secretVector("E1"),
	"vector-e2": secretVector("E2"),
	"vector-e3": secretVector("E3"),

	"frames-java": func(t *testing.T, g *gateway) {
		java := g.join(t, "main", "protocol=5&client=java-client&version=2.4.4")
		other := g.join(t, "main", "protocol=7")
		java.say(`{"event": "pusher:ping"}`)
		java.expect("pusher:pong", "", "{}")
		java.enter("private-java", "")
		other.enter("private-java", "")
		java.say(`{"event":"client-typing","channel":"private-java","data":"{\"on\":true}"}`)
		other.expect("client-typing", "private-java", `{"on":true}`)
		java.say(`{"event":"pusher:unsubscribe","data":{"channel":"private-java"}}`)
		java.alive()
	},
	"frames-swift": func(t *testing.T, g *gateway) {
		p, shaken := g.dial(t, "/app/app-key?client=pusher-websocket-swift&version=10.1.10&protocol=7", ws.Dialer{Protocols: []string{subprotocol}})
		if shaken.Protocol != subprotocol {
			t.Errorf("sub-protocol %q", shaken.Protocol)
		}
		p.greeted()
		p.write(ws.NewPingFrame(nil))
		if f := p.read(); f.Header.OpCode != ws.OpPong {
			t.Errorf("a ping frame was answered by %v", f.Header.OpCode)
		}
		p.say(`{"data":{"auth":"","channel":"swift"},"event":"pusher:subscribe"}`)
		p.expect("pusher_internal:subscription_succeeded", "swift", "{}") // dropped without data
		p.enter("private-swift", "")
		other := g.join(t, "main", "protocol=7")
		other.enter("private-swift", "")
		p.say(`{"data":{"on":true},"event":"client-typing","channel":"private-swift"}`)
		other.expect("client-typing", "private-swift", `{"on":true}`)
		other.say(`{"event":"client-typing","channel":"private-swift","data":{"on":true}}`)
		p.expect("client-typing", "private-swift", `{"on":true}`) // as? String
		p.enter("presence-swift", `{"user_id":1,"user_info":{}}`)
		g.publish(t, `{"name":"e","data":{"a":1},"channel":"swift"}`)
		p.expect("e", "swift", `{"a":1}`)
	},
	"frames-dotnet": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=5&client=pusher-dotnet-client&version=2.3.1")
		p.write(ws.NewPingFrame([]byte{1, 2, 3, 4}))
		if f := p.read(); f.Header.OpCode != ws.OpPong {
			t.Errorf("a ping frame was answered by %v", f.Header.OpCode)
		}
		g.join(t, "main", "protocol=7").enter("presence-dotnet", `{"user_id":"a"}`)
		var list struct {
			Presence struct {
				IDs  []string                   `json:"ids"`
				Hash map[string]json.RawMessage `json:"hash"`
			} `json:"presence"`
		}
		f := p.enter("presence-dotnet", `{"user_id":"b","user_info":{"name":"B"}}`)
		if err := json.Unmarshal([]byte(f.text()), &list); err != nil || len(list.Presence.IDs) != 2 {
			t.Fatalf("%v in %s", err, f)
		}
		for _, id := range list.Presence.IDs {
			if _, ok := list.Presence.Hash[id]; !ok {
				t.Errorf("%s is not in the hash of %s", id, f)
			}
		}
		p.say(`{"event":"pusher:subscribe","data":{"channel":"private-dotnet","auth":"app-key:0"}}`)
		p.expectError("null", "Invalid signature")
		p.hearNamed("pusher:subscription_error")
		p.hearNamed("pusher_internal:subscription_error")
		turnedAway(t, g, "/app/nobody?protocol=5&client=pusher-dotnet-client", "4001", 4001) // it learns the code from the event
	},
	"frames-dart": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "client=dart&version=1.2.3&protocol=7")
		p.say(`{"event":"pusher:ping","data":{}}`)
		p.expect("pusher:pong", "", "{}")
		p.say(`{"event":"pusher:subscribe","data":{"channel":"dart"}}`)
		p.expect("pusher_internal:subscription_succeeded", "dart", "{}")
	},

	"requests-go": func(t *testing.T, g *gateway) {
		g.publish(t, `{"name":"e","channels":["go"],"data":"{\"a\":1}"}`)
		g.expect(t, request{method: get, path: "/channels/presence-go", query: map[string]string{"info": "user_count,subscription_count"},
			encodeCommas: func(raw string) string { return strings.ReplaceAll(raw, "%2C", ",") }}, 200, `{"occupied":false,"subscription_count":0,"user_count":0}`)
	},
	"requests-php": func(t *testing.T, g *gateway) {
		g.publish(t, `{"name":"e","data":"{}","channel":"php"}`)
		g.publish(t, `{"name":"e","data":"{}","channels":["php","php2"]}`)
		g.expect(t, request{method: get, path: "/channels/presence-php", query: map[string]string{"info": "user_count,subscription_count"}},
			200, `{"occupied":false,"subscription_count":0,"user_count":0}`)
	},
	"requests-python": func(t *testing.T, g *gateway) {
		query := map[string]string{"body_md5": "d41d8cd98f00b204e9800998ecf8427e"}
		for path, want := range map[string]string{"/channels/python": `{"occupied":false}`, "/channels/presence-python/users": `{"users":[]}`} {
			g.expect(t, request{method: http.MethodGet, path: path, query: query}, 200, want)
		}
		g.publish(t, `{"name":"e","channels":["python"],"data":"{}"}`)
	},
}

// secretVector computes a shared secret: SHA-256 of channel and master key.
func secretVector(id string) func(*testing.T, *gateway) {
	return func(t *testing.T, _ *gateway) {
		t.Helper()
		_, vectors := loadVectors(t)
		v := find(t, vectors, id)
		master := []byte(v["master_key_ascii"])
		if len(master) == 0 {
			var err error
			if master, err = base64.StdEncoding.DecodeString(v["master_key_base64"]); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256(append([]byte(v["channel"]), master...))
		if got := hex.EncodeToString(sum[:]); got != v["shared_secret_hex"] {
			t.Errorf("%s, want %s", got, v["shared_secret_hex"])
		}
	}
}
