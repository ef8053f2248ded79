package channels

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/diaphone-dev/diaphone"
)

// FuzzFrames says anything to a live door: it answers in whole frames of JSON, and
// still answers a ping afterwards.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		`{"event":"pusher:ping"}`,
		`{"event":"pusher:subscribe","data":{"auth":"","channel":"pub"}}`,
		`{"event":"pusher:subscribe","data":{"auth":"app-key:00","channel_data":"{\"user_id\":\"7\"}","channel":"presence-x"}}`,
		`{"event":"pusher:subscribe","data":"{\"channel\":\"cache-x\"}"}`,
		`{"event":"pusher:subscribe","data":{"auth":"","channel":"pub","since":"1f0c4b9a77d2e583:42"}}`,
		`{"event":"diaphone:follow","data":{"since":{"pub":"1f0c4b9a77d2e583:42"}}}`,
		`{"event":"pusher:unsubscribe","data":{"channel":"pub"}}`,
		`{"event":"pusher:signin","data":{"auth":"app-key:00","user_data":"{\"id\":\"12345\"}"}}`,
		`{"event":"client-typing","channel":"private-x","data":{"on":true}}`,
		`{"event":["pusher:subscribe"],"data":null}`, `{"event":"\ud800"}`, `[[[[`, `{"event":{}}`, "\u2028",
	} {
		f.Add(seed)
	}
	h := open(f)
	v := h.join()
	f.Fuzz(func(t *testing.T, payload string) {
		if !utf8.ValidString(payload) || len(payload) > 16<<10 {
			return // the engine's own to refuse
		}
		v.t = t
		v.renew()
		v.say(payload)
		v.say(`{"event":"pusher:ping"}`)
		for v.hear().Event != "pusher:pong" {
		}
	})
}

// FuzzChannelData enters a presence channel with anything that a backend signed:
// the list of members stays JSON that lists the same users twice over.
func FuzzChannelData(f *testing.F) {
	for _, seed := range []string{
		`{"user_id":"7"}`, `{"user_id":7,"user_info":{"a":[1,2,{}]}}`, `{"user_id":"é\u0000","user_info":null}`,
		`{"user_id":"1","user_info":"</script>"}`, `{"user_id":1e3}`, `{"user_id":"1","user_id":2}`, `[]`, ``, `{`,
	} {
		f.Add(seed)
	}
	h := open(f)
	v := h.join()
	f.Fuzz(func(t *testing.T, data string) {
		if !utf8.ValidString(data) || len(data) > 4<<10 {
			return
		}
		v.t = t
		v.renew()
		v.ask("presence-x", data)
		v.say(`{"event":"pusher:ping"}`)
		for got := v.hear(); got.Event != "pusher:pong"; got = v.hear() {
			if got.Event == "pusher_internal:subscription_succeeded" {
				checkPresence(t, got.text())
			}
		}
		if _, occupied := h.hub.Channel("1", "presence-x"); occupied {
			v.emit("pusher:unsubscribe", map[string]string{"channel": "presence-x"})
		}
	})
}

func checkPresence(t *testing.T, data string) {
	t.Helper()
	var p struct {
		Presence struct {
			IDs   []string                   `json:"ids"`
			Hash  map[string]json.RawMessage `json:"hash"`
			Count int                        `json:"count"`
		} `json:"presence"`
	}
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if len(p.Presence.IDs) != 1 || p.Presence.Count != 1 || p.Presence.Hash[p.Presence.IDs[0]] == nil {
		t.Fatalf("presence %s", data)
	}
}

// FuzzTrigger reads any body: it is refused with a meaning, or becomes a message
// that is valid.
func FuzzTrigger(f *testing.F) {
	for _, seed := range []string{
		event, `{"name":"e","data":{},"channel":"x","socket_id":"1.2"}`, `{"name":"e","data":"\ud800","channels":["#server-to-user-1"]}`,
		`{"channels":[""]}`, `null`, `{"data":0}`, `{"name":7}`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	app := &testApps[0]
	f.Fuzz(func(t *testing.T, body []byte) {
		var in trigger
		err := decode(body, &in)
		if err == nil {
			var m *diaphone.Message
			if m, err = in.message(app); err == nil {
				if again := m.Validate(app.Limits.MaxEventBytes()); again != nil {
					t.Fatal(again)
				}
				return
			}
		}
		var r *refusal
		var e *diaphone.Error
		if !errors.As(err, &r) && !errors.As(err, &e) {
			t.Fatalf("an error without a meaning: %v", err)
		}
	})
}

// FuzzQuery reads any query; what it takes has lower-case names and one signature.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"auth_key=a&AUTH_TIMESTAMP=1&info=a%2Cb,c", "a=b&a=c&%zz", "=&=&&", "auth_signature=x&Auth_Signature=x", "channels[]=a&Channels%5B%5D=b", "ǅ=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, channels, err := parseQuery(nil, raw)
		if err != nil {
			return
		}
		if joined, given := q.find(paramChannels); given != (len(channels) > 0) {
			t.Errorf("channels %q of %q", channels, joined)
		}
		for i, p := range q {
			if p.name != strings.ToLower(p.name) {
				t.Errorf("%q is not in lower case", p.name)
			}
			if i > 0 && p.name <= q[i-1].name {
				t.Errorf("%q stands behind %q", p.name, q[i-1].name)
			}
		}
		before := requestText("GET", "/", q)
		for i, p := range q {
			if p.name == paramSignature {
				q[i].value = "another"
			}
		}
		if requestText("GET", "/", q) != before {
			t.Error("the signature signs itself")
		}
	})
}

// FuzzAuth signs with anything: only the app's own key with the right signature gets
// in, and nobody is told what that would have been.
func FuzzAuth(f *testing.F) {
	const secret, signed = "app-secret", "1.2:private-x"
	right := sign(secret, signed)
	for _, seed := range []string{"app-key:" + right, "app-key:" + strings.ToUpper(right), right, ":", "app-key", "app-key:", "other:" + right, "app-key:" + right + ":"} {
		f.Add(seed, signed)
	}
	app := &diaphone.App{Keys: []diaphone.Key{{Key: "app-key", Secret: secret}, {Key: "old-key", Secret: "old", Disabled: true}}}
	c := &client{app: app, signers: signers([]*diaphone.App{app})}
	f.Fuzz(func(t *testing.T, auth, text string) {
		err := c.verify(auth, text)
		if want := auth == "app-key:"+sign(secret, text); (err == nil) != want {
			t.Errorf("%q of %q: %v", auth, text, err)
		}
		if err != nil && strings.Contains(err.Error(), sign(secret, text)) && !strings.Contains(auth, sign(secret, text)) {
			t.Errorf("told the right signature: %v", err)
		}
	})
}
