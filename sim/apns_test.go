package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/apns"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func pad(n int) string {
	frame := `{"aps":{"alert":""}}`
	return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
}

// TestAPNsContent holds every rule about headers and payload against the reason
// that Apple documents for breaking it.
func TestAPNsContent(t *testing.T) {
	b := start(t, sim.Options{Topics: []string{"dev.diaphone.other"}})
	ana := b.add("ana", "ios")
	topic := b.cred.Topic
	id := "f6aa50fc-1e24-40ab-a16e-dd174cbabc21"
	tests := []struct {
		name, token, payload string
		headers              []string
		status               int
		reason               string
	}{
		{"alert", ana.Token, hello, nil, 200, ""},
		{"upper-case token", strings.ToUpper(ana.Token), hello, nil, 200, ""},
		{"no push type", ana.Token, hello, []string{"apns-push-type", ""}, 200, ""},
		{"priority 5", ana.Token, hello, []string{"apns-priority", "5"}, 200, ""},
		{"priority 1", ana.Token, hello, []string{"apns-priority", "1"}, 200, ""},
		{"background", ana.Token, `{"aps":{"content-available":1}}`, []string{"apns-push-type", "background", "apns-priority", "5"}, 200, ""},
		{"voip", ana.VoIPToken, `{"call":1}`, []string{"apns-push-type", "voip", "apns-topic", topic + ".voip"}, 200, ""},
		{"live activity", ana.Token, hello, []string{"apns-push-type", "liveactivity", "apns-topic", topic + ".push-type.liveactivity"}, 200, ""},
		{"4096 bytes", ana.Token, pad(4096), nil, 200, ""},
		{"5120 bytes voip", ana.VoIPToken, pad(5120), []string{"apns-push-type", "voip", "apns-topic", topic + ".voip"}, 200, ""},
		{"collapse id of 64", ana.Token, hello, []string{"apns-collapse-id", strings.Repeat("c", 64)}, 200, ""},
		{"expiration", ana.Token, hello, []string{"apns-expiration", "4102444800"}, 200, ""},

		{"collapse id of 65", ana.Token, hello, []string{"apns-collapse-id", strings.Repeat("c", 65)}, 400, "BadCollapseId"},
		{"invented token", strings.Repeat("0", 64), hello, nil, 400, "BadDeviceToken"},
		{"token not hex", strings.Repeat("g", 64), hello, nil, 400, "BadDeviceToken"},
		{"odd token", "abc", hello, nil, 400, "BadDeviceToken"},
		{"no token", "", hello, nil, 400, "MissingDeviceToken"},
		{"expiration in words", ana.Token, hello, []string{"apns-expiration", "soon"}, 400, "BadExpirationDate"},
		{"expiration below zero", ana.Token, hello, []string{"apns-expiration", "-1"}, 400, "BadExpirationDate"},
		{"id in words", ana.Token, hello, []string{"apns-id", "one"}, 400, "BadMessageId"},
		{"upper-case id", ana.Token, hello, []string{"apns-id", strings.ToUpper(id)}, 400, "BadMessageId"},
		{"priority 7", ana.Token, hello, []string{"apns-priority", "7"}, 400, "BadPriority"},
		{"background at 10", ana.Token, hello, []string{"apns-push-type", "background", "apns-priority", "10"}, 400, "BadPriority"},
		{"background without", ana.Token, hello, []string{"apns-push-type", "background"}, 400, "BadPriority"},
		{"voip at 5", ana.VoIPToken, hello, []string{"apns-push-type", "voip", "apns-topic", topic + ".voip", "apns-priority", "5"}, 400, "BadPriority"},
		{"topic with a space", ana.Token, hello, []string{"apns-topic", "dev diaphone"}, 400, "BadTopic"},
		{"voip without suffix", ana.VoIPToken, hello, []string{"apns-push-type", "voip"}, 400, "BadTopic"},
		{"alert with suffix", ana.Token, hello, []string{"apns-topic", topic + ".voip"}, 400, "BadTopic"},
		{"topic of another app", ana.Token, hello, []string{"apns-topic", "dev.diaphone.other"}, 400, "DeviceTokenNotForTopic"},
		{"voip to the other token", ana.Token, hello, []string{"apns-push-type", "voip", "apns-topic", topic + ".voip"}, 400, "DeviceTokenNotForTopic"},
		{"alert to the PushKit token", ana.VoIPToken, hello, nil, 400, "DeviceTokenNotForTopic"},
		{"push type", ana.Token, hello, []string{"apns-push-type", "shout"}, 400, "InvalidPushType"},
		{"no topic", ana.Token, hello, []string{"apns-topic", ""}, 400, "MissingTopic"},
		{"nothing", ana.Token, "", nil, 400, "PayloadEmpty"},
		{"no aps", ana.Token, `{"a":1}`, nil, 400, "PayloadEmpty"},
		{"aps no object", ana.Token, `{"aps":"hello"}`, nil, 400, "PayloadEmpty"},
		{"no JSON", ana.Token, `{"aps":{}`, nil, 400, "PayloadEmpty"},
		{"an array", ana.Token, `[{"aps":{}}]`, nil, 400, "PayloadEmpty"},
		{"no UTF-8", ana.Token, "{\"aps\":{\"alert\":\"\xff\"}}", nil, 400, "PayloadEmpty"},
		{"foreign topic", ana.Token, hello, []string{"apns-topic", "com.example.app"}, 400, "TopicDisallowed"},
		{"4097 bytes", ana.Token, pad(4097), nil, 413, "PayloadTooLarge"},
		{"5121 bytes voip", ana.VoIPToken, pad(5121), []string{"apns-push-type", "voip", "apns-topic", topic + ".voip"}, 413, "PayloadTooLarge"},
		{"a megabyte", ana.Token, pad(1 << 20), nil, 413, "PayloadTooLarge"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t)
			b.ok(nil, "DELETE", "/sim/inbox", "")
			got := b.push(test.token, test.payload, test.headers...)
			if got.status != test.status || got.Reason != test.reason {
				t.Errorf("got %d %q, want %d %q", got.status, got.Reason, test.status, test.reason)
			}
			if got.header.Get("apns-id") == "" {
				t.Error("no apns-id")
			}
			if shown := len(b.inbox("")); (shown == 1) != (test.status == 200) {
				t.Errorf("the inbox has %d entries", shown)
			}
		})
	}
	if got := b.push(ana.Token, hello, "apns-id", id); got.header.Get("apns-id") != id {
		t.Errorf("apns-id %q was not echoed, got %q", id, got.header.Get("apns-id"))
	}
}

func TestAPNsPathMethodAndDuplicates(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	tests := []struct {
		name, method, path string
		twice              string
		status             int
		reason             string
	}{
		{"GET", "GET", "/3/device/" + ana.Token, "", 405, "MethodNotAllowed"},
		{"path", "POST", "/3/devices/" + ana.Token, "", 404, "BadPath"},
		{"root", "POST", "/", "", 404, "BadPath"},
		{"deeper path", "POST", "/3/device/" + ana.Token + "/x", "", 404, "BadPath"},
		{"topic twice", "POST", "/3/device/" + ana.Token, "apns-topic", 400, "DuplicateHeaders"},
		{"authorization twice", "POST", "/3/device/" + ana.Token, "authorization", 400, "DuplicateHeaders"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t)
			r, err := http.NewRequest(test.method, "https://"+b.addr+test.path, strings.NewReader(hello))
			must(t, err)
			r.Header.Set("authorization", "bearer "+b.jwt)
			r.Header.Set("apns-topic", b.cred.Topic)
			if test.twice != "" {
				r.Header.Add(test.twice, r.Header.Get(test.twice))
			}
			if got := b.send(r); got.status != test.status || got.Reason != test.reason {
				t.Errorf("got %d %q, want %d %q", got.status, got.Reason, test.status, test.reason)
			}
		})
	}
}

// TestAPNsProviderToken tries each wrong token on a connection of its own.
func TestAPNsProviderToken(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	kid, team, now := b.cred.KeyID, b.cred.TeamID, time.Now()
	sign := func(kid, iss string, iat time.Time) string {
		return "bearer " + signES256(t, b.key, kid, iss, iat)
	}
	parts := func(header, claims map[string]any) string { return "bearer " + signParts(t, b.key, header, claims) }
	tests := []struct {
		name, authorization string
		status              int
		reason              string
	}{
		{"none", "", 403, "MissingProviderToken"},
		{"empty", "bearer ", 403, "MissingProviderToken"},
		{"basic", "basic " + b.jwt, 403, "InvalidProviderToken"},
		{"garbage", "bearer a.b.c", 403, "InvalidProviderToken"},
		{"another key", "bearer " + signES256(t, newKey(t), kid, team, now), 403, "InvalidProviderToken"},
		{"unknown kid", sign("OTHERKEY01", team, now), 403, "InvalidProviderToken"},
		{"another team", sign(kid, "OTHERTEAM1", now), 403, "InvalidProviderToken"},
		{"HS256", parts(map[string]any{"alg": "HS256", "kid": kid}, map[string]any{"iss": team, "iat": now.Unix()}), 403, "InvalidProviderToken"},
		{"iat in milliseconds as text", parts(map[string]any{"alg": "ES256", "kid": kid}, map[string]any{"iss": team, "iat": fmt.Sprint(now.UnixMilli())}), 403, "InvalidProviderToken"},
		{"no iat", parts(map[string]any{"alg": "ES256", "kid": kid}, map[string]any{"iss": team}), 403, "InvalidProviderToken"},
		{"of tomorrow", sign(kid, team, now.Add(24*time.Hour)), 403, "InvalidProviderToken"},
		{"61 minutes old", sign(kid, team, now.Add(-61*time.Minute)), 403, "ExpiredProviderToken"},
		{"59 minutes old", sign(kid, team, now.Add(-59*time.Minute)), 200, ""},
		{"Bearer", strings.Replace(sign(kid, team, now), "bearer", "Bearer", 1), 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t).reconnect()
			got := b.push(ana.Token, hello, "authorization", test.authorization)
			if got.status != test.status || got.Reason != test.reason {
				t.Errorf("got %d %q, want %d %q", got.status, got.Reason, test.status, test.reason)
			}
		})
	}
}

func TestAPNsTokenUpdates(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	issued := func(ago time.Duration) []string {
		return []string{"authorization", "bearer " + signES256(t, b.key, b.cred.KeyID, b.cred.TeamID, time.Now().Add(-ago))}
	}
	expect := func(what string, got pushed, reason string) {
		t.Helper()
		if got.Reason != reason {
			t.Errorf("%s: got %d %q, want %q", what, got.status, got.Reason, reason)
		}
	}
	first := issued(50 * time.Minute)
	expect("first", b.push(ana.Token, hello, first...), "")
	expect("issued 10 minutes after", b.push(ana.Token, hello, issued(40*time.Minute)...), "TooManyProviderTokenUpdates")
	expect("first again", b.push(ana.Token, hello, first...), "")
	second := issued(25 * time.Minute)
	expect("issued 25 minutes after", b.push(ana.Token, hello, second...), "")
	expect("a second update at once", b.push(ana.Token, hello, issued(0)...), "TooManyProviderTokenUpdates")
	expect("second again", b.push(ana.Token, hello, second...), "")
	b = b.reconnect()
	expect("a new connection", b.push(ana.Token, hello, issued(0)...), "")
}

func TestAPNsKeys(t *testing.T) {
	other, related, foreign, sandbox := newKey(t), newKey(t), newKey(t), newKey(t)
	topics := []string{"dev.diaphone.demo"}
	b := start(t, sim.Options{Keys: []apns.Key{
		{ID: "OTHERKEY01", TeamID: "SIMTEAM001", Public: &other.PublicKey, Topics: topics},
		{ID: "RELATED001", TeamID: "SIMTEAM001", Public: &related.PublicKey, Topics: topics, Related: "SIMKEY0001"},
		{ID: "FOREIGN001", TeamID: "OTHERTEAM1", Public: &foreign.PublicKey, Topics: topics},
		{ID: "SANDBOX001", TeamID: "SIMTEAM001", Public: &sandbox.PublicKey, Topics: topics, Environments: []phone.Environment{phone.Sandbox}},
	}})
	ana := b.add("ana", "ios")
	now := time.Now()
	with := func(key *ecdsa.PrivateKey, kid, team string) string {
		return b.push(ana.Token, hello, "authorization", "bearer "+signES256(t, key, kid, team, now)).Reason
	}
	b.push(ana.Token, hello) // binds the connection to SIMKEY0001
	for _, test := range []struct {
		name string
		got  string
		want string
	}{
		{"unrelated", with(other, "OTHERKEY01", "SIMTEAM001"), "UnrelatedKeyIdInToken"},
		{"another team", with(foreign, "FOREIGN001", "OTHERTEAM1"), "InvalidProviderToken"},
		{"another environment", with(sandbox, "SANDBOX001", "SIMTEAM001"), "BadEnvironmentKeyIdInToken"},
		{"related", with(related, "RELATED001", "SIMTEAM001"), ""},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, test.got, test.want)
		}
	}
	b = b.reconnect()
	if got := with(other, "OTHERKEY01", "SIMTEAM001"); got != "" {
		t.Errorf("the other key on its own connection: %q", got)
	}
}

// TestAPNsSandbox asks for the sandbox by Apple's host name.
func TestAPNsSandbox(t *testing.T) {
	b := start(t, sim.Options{})
	var dev device
	b.ok(&dev, "POST", "/sim/devices", `{"name":"dev","platform":"ios","environment":"sandbox"}`)
	if got := b.push(dev.Token, hello); got.Reason != "BadDeviceToken" {
		t.Errorf("a sandbox token in production: %d %q", got.status, got.Reason)
	}
	r, err := http.NewRequest(http.MethodPost, "https://"+b.addr+"/3/device/"+dev.Token, strings.NewReader(hello))
	must(t, err)
	r.Host = "api.sandbox.push.apple.com"
	r.Header.Set("authorization", "bearer "+b.jwt)
	r.Header.Set("apns-topic", b.cred.Topic)
	got := b.send(r)
	if got.status != 200 || got.header.Get("apns-unique-id") == "" {
		t.Errorf("in the sandbox: %d %q, apns-unique-id %q", got.status, got.Reason, got.header.Get("apns-unique-id"))
	}
}

// TestAPNs2 drives the simulator with a client that knows nothing of it.
func TestAPNs2(t *testing.T) {
	b := start(t, sim.Options{})
	key, err := token.AuthKeyFromFile(b.cred.APNsKeyFile)
	must(t, err)
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: b.cred.KeyID, TeamID: b.cred.TeamID})
	client.Host = "https://" + b.addr
	client.HTTPClient = b.h2
	ana, bob := b.add("ana", "ios"), b.add("bob", "ios")
	gone := b.move("bob", "uninstalled")

	res, err := client.Push(&apns2.Notification{DeviceToken: ana.Token, Topic: b.cred.Topic, Payload: []byte(hello), CollapseID: "c"})
	must(t, err)
	if !res.Sent() {
		t.Errorf("ana: %+v", res)
	}
	res, err = client.Push(&apns2.Notification{DeviceToken: bob.Token, Topic: b.cred.Topic, Payload: []byte(hello)})
	must(t, err)
	if res.StatusCode != http.StatusGone || res.Reason != apns2.ReasonUnregistered || !res.Timestamp.Equal(gone.Uninstalled.Truncate(time.Second)) {
		t.Errorf("bob: %+v, want Unregistered since %v", res, gone.Uninstalled)
	}
	got := b.inbox("ana")
	if len(got) != 1 || got[0].Title != "Hi" || got[0].Body != "hello" || got[0].Headers["apns-collapse-id"] != "c" {
		t.Errorf("inbox: %+v", got)
	}
	if _, leaked := got[0].Headers["authorization"]; leaked || !bytes.Equal(got[0].Payload, []byte(hello)) {
		t.Errorf("inbox: %+v", got[0])
	}
}
