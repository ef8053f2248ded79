package sim_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/sim"
)

func TestWebPushIsDecrypted(t *testing.T) {
	b := start(t, sim.Options{})
	to := b.browser("ana")
	if got := b.notify(to, "Ben", 60, "chat-7"); got.status != 201 || got.header.Get("Location") == "" || got.header.Get("TTL") != "60" {
		t.Fatalf("%+v", got)
	}
	// Several records, no JSON, no data at all, and what nobody can read.
	b.post(to.Endpoint, seal(t, to, []byte(strings.Repeat("x", 300)), 100))
	b.post(to.Endpoint, nil)
	damaged := seal(t, to, []byte(`{}`), 4096)
	damaged[len(damaged)-1] ^= 1
	b.post(to.Endpoint, damaged)
	b.post(to.Endpoint, seal(t, b.browser("ben"), []byte(`{}`), 4096))
	b.post(to.Endpoint, []byte("short"))

	got := b.inbox("ana")
	if len(got) != 6 {
		t.Fatalf("%d entries", len(got))
	}
	for i, want := range []struct{ payload, fault string }{
		{`null`, "no aes128gcm"}, {`null`, "not encrypted for"}, {`null`, "damaged"}, {`null`, ""}, {`"` + strings.Repeat("x", 300) + `"`, ""},
	} {
		if fault := got[i].Headers["Sim-Fault"]; string(got[i].Payload) != want.payload || !strings.Contains(fault, want.fault) || (fault == "") != (want.fault == "") {
			t.Errorf("%d: %s, %q", i, got[i].Payload, fault)
		}
	}
	first := got[5]
	if first.Title != "Ben" || first.Provider != "webpush" || first.Headers["Topic"] != "chat-7" || first.Headers["TTL"] != "60" {
		t.Errorf("%+v", first)
	}
	if s := b.stats()["webpush"]; s.Accepted != 6 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWebPushRefusals(t *testing.T) {
	b := start(t, sim.Options{})
	to := b.browser("ana")
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	own := readP8(t, b.cred.VAPIDKeyFile)
	good := seal(t, to, []byte(`{}`), 4096)
	claims := func(name string, value any) string { return b.vapid(own, map[string]any{name: value}) }
	forged := b.vapid(other, nil)
	forged = forged[:strings.Index(forged, "k=")] + b.vapid(own, nil)[strings.Index(b.vapid(own, nil), "k="):]
	for name, c := range map[string]struct {
		endpoint string
		body     []byte
		changes  []string
		status   int
		errno    int
		text     string
	}{
		"another secret":    {to.Endpoint + "x", good, nil, 404, 102, "Invalid token"},
		"no VAPID":          {to.Endpoint, good, []string{"Authorization", ""}, 401, 109, "Missing VAPID public key"},
		"bearer":            {to.Endpoint, good, []string{"Authorization", "bearer x"}, 401, 109, "Unknown auth scheme"},
		"no key":            {to.Endpoint, good, []string{"Authorization", "vapid t=a.b.c"}, 401, 109, "Missing VAPID public key"},
		"no token":          {to.Endpoint, good, []string{"Authorization", "vapid k=abc"}, 401, 109, "Missing VAPID token"},
		"a key off":         {to.Endpoint, good, []string{"Authorization", "vapid t=a.b.c, k=BAAA"}, 401, 109, "Invalid VAPID public key"},
		"two parts":         {to.Endpoint, good, []string{"Authorization", strings.Replace(b.vapid(own, nil), ".", "", 1)}, 401, 109, "InvalidToken"},
		"forged":            {to.Endpoint, good, []string{"Authorization", forged}, 401, 109, "InvalidSignature"},
		"another's key":     {to.Endpoint, good, []string{"Authorization", b.vapid(other, nil)}, 401, 109, "mismatch"},
		"another's origin":  {to.Endpoint, good, []string{"Authorization", claims("aud", "https://push.example.com")}, 401, 109, "audience"},
		"a slash too many":  {to.Endpoint, good, []string{"Authorization", claims("aud", "http://"+b.addr+"/")}, 401, 109, "audience"},
		"expired":           {to.Endpoint, good, []string{"Authorization", claims("exp", time.Now().Add(-time.Second).Unix())}, 401, 109, "expiry"},
		"no expiry":         {to.Endpoint, good, []string{"Authorization", claims("exp", nil)}, 401, 109, "expiry"},
		"25 hours":          {to.Endpoint, good, []string{"Authorization", claims("exp", time.Now().Add(25*time.Hour).Unix())}, 401, 109, "too long"},
		"a bad subject":     {to.Endpoint, good, []string{"Authorization", claims("sub", "ops@example.com")}, 401, 109, "sub"},
		"no TTL":            {to.Endpoint, good, []string{"TTL", ""}, 400, 111, "TTL"},
		"TTL of words":      {to.Endpoint, good, []string{"TTL", "soon"}, 400, 111, "TTL"},
		"TTL below 0":       {to.Endpoint, good, []string{"TTL", "-1"}, 400, 114, "TTL"},
		"no encoding":       {to.Endpoint, good, []string{"Content-Encoding", ""}, 400, 110, "Missing"},
		"another encoding":  {to.Endpoint, good, []string{"Content-Encoding", "aesgcm"}, 400, 110, "Unknown"},
		"a long topic":      {to.Endpoint, good, []string{"Topic", strings.Repeat("a", 33)}, 400, 113, "32"},
		"a topic of spaces": {to.Endpoint, good, []string{"Topic", "a b"}, 400, 113, "Base64"},
		"4097 bytes":        {to.Endpoint, make([]byte, 4097), nil, 413, 104, "overflow"},
	} {
		got := b.post(c.endpoint, c.body, c.changes...)
		if got.status != c.status || got.Code != c.status || got.Errno != c.errno || !strings.Contains(got.Text, c.text) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := b.post(to.Endpoint, good, "Authorization", claims("sub", nil), "Topic", strings.Repeat("a", 32), "TTL", "99999999999"); got.status != 201 || got.header.Get("TTL") != "2592000" {
		t.Errorf("what is allowed: %+v", got)
	}
	if status, _ := b.do("GET", strings.TrimPrefix(to.Endpoint, "http://"+b.addr), ""); status != 405 {
		t.Errorf("GET: %d", status)
	}
	if n := len(b.inbox("ana")); n != 1 {
		t.Errorf("%d came through", n)
	}
}

func TestLifeOfABrowser(t *testing.T) {
	b := start(t, sim.Options{})
	to := b.browser("ana")
	b.move("ana", "offline")
	for _, m := range []struct {
		title, topic string
		ttl          int
	}{{"a", "", 60}, {"b1", "t", 60}, {"now or never", "", 0}, {"b2", "t", 60}, {"c", "", 60}} {
		if got := b.notify(to, m.title, m.ttl, m.topic); got.status != 201 {
			t.Errorf("%s: %+v", m.title, got)
		}
	}
	b.move("ana", "online")
	var titles []string
	for _, e := range b.inbox("ana") {
		titles = append(titles, e.Title)
	}
	if got := strings.Join(titles, " "); got != "c b2 a" {
		t.Errorf("after it was back: %s", got)
	}
	b.move("ana", "uninstalled")
	if got := b.notify(to, "late", 60, ""); got.status != 410 || got.Errno != 106 || got.header.Get("Cache-Control") == "" {
		t.Errorf("%+v", got)
	}
	b.ok(nil, "DELETE", "/sim/devices/ana", "")
	if got := b.notify(to, "later", 60, ""); got.status != 404 {
		t.Errorf("%+v", got)
	}
}

func TestWebPushFaults(t *testing.T) {
	b := start(t, sim.Options{})
	to := b.browser("ana")
	for plan, want := range map[string]struct {
		status, errno int
		after         string
	}{
		`"status":410`:                             {410, 106, ""},
		`"reason":"no_user"`:                       {410, 103, ""},
		`"reason":"vapid"`:                         {401, 109, ""},
		`"status":503`:                             {503, 201, "120"},
		`"reason":"try_again","retry_after":7`:     {503, 202, "7"},
		`"status":429,"retry_after":9`:             {429, 0, "9"},
		`"status":418,"body":"{\"message\":\"\"}"`: {418, 0, ""},
	} {
		b.faults(`{"provider":"webpush",` + plan + `}`)
		if got := b.notify(to, "x", 60, ""); got.status != want.status || got.Errno != want.errno || got.header.Get("Retry-After") != want.after {
			t.Errorf("%s: %+v", plan, got)
		}
	}
	if n := len(b.inbox("ana")); n != 0 {
		t.Errorf("%d came through", n)
	}
}

// TestRealBrowser goes through the life of a Firefox, as its push service sees it.
func TestRealBrowser(t *testing.T) {
	b := start(t, sim.Options{})
	fox := b.agent()
	fox.say(`{"messageType":"hello","broadcasts":{},"use_webpush":true}`)
	hello := fox.hear()
	if hello.MessageType != "hello" || hello.Status != 200 || len(hello.UAID) != 32 {
		t.Fatalf("%+v", hello)
	}
	fox.say(`{}`)
	if pong := fox.hear(); pong.MessageType != "" {
		t.Errorf("%+v", pong)
	}
	fox.say(`{"messageType":"register","channelID":"c1","key":"` + b.cred.VAPIDPublicKey + `"}`)
	registered := fox.hear()
	if registered.Status != 200 || registered.ChannelID != "c1" || registered.PushEndpoint == "" {
		t.Fatalf("%+v", registered)
	}
	for _, bad := range []string{`"key":"!"`, `"channelID":"c2","key":"AAAA"`} {
		fox.say(`{"messageType":"register",` + bad + `}`)
		if got := fox.hear(); got.Status != 400 {
			t.Errorf("%s: %+v", bad, got)
		}
	}
	endpoint := registered.PushEndpoint
	if got := b.post(endpoint, []byte("opaque")); got.status != 201 {
		t.Fatalf("%+v", got)
	}
	n := fox.hear()
	if n.MessageType != "notification" || n.ChannelID != "c1" || n.Data != b64([]byte("opaque")) || n.Headers["encoding"] != "aes128gcm" || n.Version == "" {
		t.Fatalf("%+v", n)
	}
	// Not acknowledged, so it comes again; then it is, and does not.
	back := func(expect ...string) *agent {
		a := b.agent()
		a.say(`{"messageType":"hello","use_webpush":true,"uaid":"` + hello.UAID + `"}`)
		if again := a.hear(); again.UAID != hello.UAID {
			t.Errorf("it is taken for another browser: %+v", again)
		}
		for _, version := range expect {
			if got := a.hear(); got.Version != version {
				t.Errorf("%+v, want version %s", got, version)
			}
		}
		return a
	}
	fox = back(n.Version)
	fox.say(`{"messageType":"ack","updates":[{"channelID":"c1","version":"` + n.Version + `","code":100}]}`)
	fox.say(`{}`) // answered after the ack was taken in
	fox.hear()
	fox.conn.Close()
	fox = back()
	fox.say(`{}`)
	if pong := fox.hear(); pong.MessageType != "" {
		t.Errorf("it was acknowledged, and came again: %+v", pong)
	}
	fox.say(`{"messageType":"unregister","channelID":"c1","code":200}`)
	if got := fox.hear(); got.MessageType != "unregister" || got.Status != 200 {
		t.Errorf("%+v", got)
	}
	if got := b.post(endpoint, []byte("opaque")); got.status != 404 {
		t.Errorf("%+v", got)
	}
}
