package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/rest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// refusal is a request that must fail, and how.
type refusal struct {
	name, body string
	status     int
	code       string
	pointer    string // of the first of errors; "-": there are none
	says       string // somewhere in the document
	headers    []string
}

func (r refusal) check(t *testing.T, a apitest.Answer) {
	t.Helper()
	var p wire.Problem
	a.JSON(t, &p)
	pointer := "-"
	if len(p.Errors) > 0 {
		pointer = p.Errors[0].Pointer
	}
	if a.Status != r.status || p.Code != r.code || pointer != r.pointer || !strings.Contains(string(a.Body), r.says) {
		t.Errorf("%d %s, want %d %s at %q with %q", a.Status, a.Body, r.status, r.code, r.pointer, r.says)
	}
	if after := a.Header.Get("Retry-After") != ""; after != (a.Status == 429 || a.Status == 503 || a.Status == 507) {
		t.Errorf("%d with Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
}

func list(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(item, i)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func TestMessagesRefused(t *testing.T) {
	const to = `"to":{"users":["ana"]}`
	hello := func(more string) string { return `{` + to + `,"notification":{"title":"x"` + more + `}}` }
	event := func(e string) string { return `{"to":{"channels":["news"]},"event":` + e + `}` }
	long := strings.Repeat("x", 200)
	s := apitest.Start(t, apitest.Options{})
	for _, r := range []refusal{
		{"no body", "", 415, "unsupported_media_type", "-", "application/json", nil},
		{"empty body", " ", 400, "malformed", "", "empty", nil},
		{"no JSON", "hello", 400, "malformed", "", "byte 0", nil},
		{"form", "to=ana", 415, "unsupported_media_type", "-", "application/json", []string{"Content-Type: application/x-www-form-urlencoded"}},
		{"another charset", hello(""), 415, "unsupported_media_type", "-", "application/json", []string{"Content-Type: application/json; charset=latin1"}},
		{"broken content type", hello(""), 415, "unsupported_media_type", "-", "application/json", []string{"Content-Type: ;"}},
		{"compressed", hello(""), 415, "unsupported_media_type", "-", "Content-Encoding", []string{"Content-Encoding: gzip"}},
		{"over the limit", hello(strings.Repeat(" ", rest.MaxMessageBody)), 413, "too_large", "", "65536", nil},
		{"1 MB", hello(strings.Repeat(" ", 1<<20)), 413, "too_large", "", "65536", nil},
		{"10 MB", hello(strings.Repeat(" ", 10<<20)), 413, "too_large", "", "65536", nil},
		{"unknown field", `{` + to + `,"notification_":{}}`, 422, "invalid", "/notification_", `did you mean \"notification\"?`, nil},
		{"unknown field inside", hello(`,"apns":{"alert":"x"}`), 422, "invalid", "/notification/apns/alert", "headers, aps, data", nil},
		{"field twice", hello(`,"title":"y"`), 400, "malformed", "/notification/title", "twice", nil},
		{"wrong type", hello(`,"ttl":"60"`), 422, "invalid", "/notification/ttl", "a whole number", nil},
		{"null", hello(`,"ttl":null`), 422, "invalid", "/notification/ttl", "leave the field out", nil},
		{"invalid UTF-8", hello(`,"body":"` + "\xc3\x28" + `"`), 400, "malformed", "/notification/body", "UTF-8", nil},
		{"data behind", hello("") + "{}", 400, "malformed", "", "byte", nil},
		{"too deep", event(`{"name":"e","data":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`), 400, "malformed", "/event/data" + strings.Repeat("/0", 30), "32", nil},
		{"only brackets", strings.Repeat("[", 60000), 400, "malformed", strings.Repeat("/0", 32), "32", nil},

		{"no audience", `{"notification":{"title":"x"}}`, 422, "invalid", "/to", "empty", nil},
		{"empty audience", `{"to":{},"notification":{"title":"x"}}`, 422, "invalid", "/to", "empty", nil},
		{"empty lists", `{"to":{"users":[]},"notification":{"title":"x"}}`, 422, "invalid", "/to", "empty", nil},
		{"too many users", `{"to":{"users":` + list(1001, `"u%d"`) + `},"notification":{"title":"x"}}`, 422, "invalid", "/to/users", "at most 1000", nil},
		{"too many devices", `{"to":{"devices":` + list(1001, `"d%d"`) + `},"notification":{"title":"x"}}`, 422, "invalid", "/to/devices", "at most 1000", nil},
		{"too many channels", `{"to":{"channels":` + list(101, `"c%d"`) + `},"notification":{"title":"x"}}`, 422, "invalid", "/to/channels", "at most 100", nil},
		{"illegal channel", `{"to":{"channels":["news","a b"]},"event":{"name":"e"}}`, 422, "invalid", "/to/channels/1", "_-=@,.;", nil},
		{"long channel", `{"to":{"channels":["` + long + `"]},"event":{"name":"e"}}`, 422, "invalid", "/to/channels/0", "164", nil},
		{"illegal device", `{"to":{"devices":["a/b"]},"notification":{"title":"x"}}`, 422, "invalid", "/to/devices/0", "letters", nil},
		{"unprintable user", `{"to":{"users":["a\u0007"]},"notification":{"title":"x"}}`, 422, "invalid", "/to/users/0", "printed", nil},
		{"nothing to say", `{` + to + `}`, 422, "invalid", "", "an event, a notification or both", nil},
		{"unknown when", `{` + to + `,"when":"never","notification":{"title":"x"}}`, 422, "invalid", "/when", "use always or away", nil},

		{"event without name", event(`{}`), 422, "invalid", "/event/name", "1 to 200", nil},
		{"event of the protocol", event(`{"name":"pusher:ping"}`), 422, "invalid", "/event/name", "belong to the protocol", nil},
		{"long event name", event(`{"name":"` + strings.Repeat("é", 201) + `"}`), 422, "invalid", "/event/name", "201", nil},
		{"event too large", event(`{"name":"e","data":"` + strings.Repeat("x", 10241) + `"}`), 422, "invalid", "/event/data", "10241 bytes, the limit is 10240", nil},
		{"illegal socket", event(`{"name":"e","except_socket":"12"}`), 422, "invalid", "/event/except_socket", "123.456", nil},
		{"event to devices", `{"to":{"devices":["d1"]},"event":{"name":"e"}}`, 422, "invalid", "/to", "notifications only", nil},

		{"empty notification", `{` + to + `,"notification":{}}`, 422, "invalid", "/notification", "empty", nil},
		{"ttl below zero", hello(`,"ttl":-1`), 422, "invalid", "/notification/ttl", "0 to 2419200 seconds, this one is -1", nil},
		{"ttl over the limit", hello(`,"ttl":2419201`), 422, "invalid", "/notification/ttl", "2419200", nil},
		{"badge below zero", hello(`,"badge":-1`), 422, "invalid", "/notification/badge", "0 or more", nil},
		{"unknown priority", hello(`,"priority":"urgent"`), 422, "invalid", "/notification/priority", "high or normal", nil},
		{"long collapse id", hello(`,"collapse_id":"` + strings.Repeat("x", 65) + `"`), 422, "invalid", "/notification/collapse_id", "64", nil},
		{"image of a file", hello(`,"image":"file:///etc/passwd"`), 422, "invalid", "/notification/image", "http", nil},
		{"reserved data", hello(`,"data":{"google.x/y":"1"}`), 422, "invalid", "/notification/data/google.x~1y", "reserved", nil},
		{"number in data", hello(`,"data":{"n":1}`), 422, "invalid", "/notification/data/n", "a string", nil},
		{"override of Web Push is no object", hello(`,"webpush":7`), 422, "invalid", "/notification/webpush", "a number", nil},
		{"override of FCM is no object", hello(`,"fcm":[]`), 422, "invalid", "/notification/fcm", "an array", nil},
		{"override of aps is no object", hello(`,"apns":{"aps":"x"}`), 422, "invalid", "/notification/apns/aps", "a string", nil},
		{"override of the payload is no object", hello(`,"apns":{"data":null}`), 422, "invalid", "/notification/apns/data", "null", nil},
		{"payload over the providers' limit", hello(`,"body":"` + strings.Repeat("x", 5000) + `"`), 413, "too_large", "/notification", "bytes", nil},

		{"empty key", hello(""), 422, "invalid", "/Idempotency-Key", "1 to 255", []string{"Idempotency-Key: "}},
		{"long key", hello(""), 422, "invalid", "/Idempotency-Key", "1 to 255", []string{"Idempotency-Key: " + strings.Repeat("x", 256)}},
		{"key not ASCII", hello(""), 422, "invalid", "/Idempotency-Key", "1 to 255", []string{"Idempotency-Key: é"}},
		{"two keys", hello(""), 422, "invalid", "/Idempotency-Key", "1 to 255", []string{"Idempotency-Key: a", "Idempotency-Key: b"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.check(t, s.Do(apitest.Token1, "POST", "/v1/messages", r.body, r.headers...))
			if n := len(s.Fanned()); n > 0 {
				t.Errorf("%d events went out all the same", n)
			}
		})
	}
}

func TestSeveralFaultsAreToldAtOnce(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"channels":["a b"]},"when":"x","event":{"name":""},"notification":{"ttl":-1}}`)
	var p wire.Problem
	a.JSON(t, &p)
	var pointers []string
	for _, e := range p.Errors {
		pointers = append(pointers, e.Pointer)
	}
	if got := strings.Join(pointers, " "); got != "/to/channels/0 /when /event/name /notification/ttl /notification" {
		t.Errorf("%s: %s", got, a.Body)
	}
}

func TestDevicesRefused(t *testing.T) {
	device := func(more string) string { return `{"platform":"ios"` + more + `}` }
	token := func(fields string) string { return device(`,"tokens":[{` + fields + `}]`) }
	s := apitest.Start(t, apitest.Options{})
	for _, r := range []refusal{
		{"no JSON", "{", 400, "malformed", "", "too early", nil},
		{"over the limit", device(strings.Repeat(" ", rest.MaxDeviceBody)), 413, "too_large", "", "16384", nil},
		{"no platform", `{}`, 422, "invalid", "/platform", "ios, android or web", nil},
		{"unknown platform", `{"platform":"symbian"}`, 422, "invalid", "/platform", "ios, android or web", nil},
		{"id in the body", device(`,"device_id":"d1"`), 422, "invalid", "/device_id", "there is no field", nil},
		{"unknown kind", token(`"kind":"apple","value":"ab"`), 422, "invalid", "/tokens/0/kind", "apns, apns-voip, fcm or webpush", nil},
		{"token without a value", token(`"kind":"fcm"`), 422, "invalid", "/tokens/0/value", "1 to 4096", nil},
		{"long token", token(`"kind":"fcm","value":"` + strings.Repeat("x", 4097) + `"`), 422, "invalid", "/tokens/0/value", "4097", nil},
		{"APNs token not hex", token(`"kind":"apns","value":"xyz"`), 422, "invalid", "/tokens/0/value", "hex", nil},
		{"token with a blank", token(`"kind":"fcm","value":"a b"`), 422, "invalid", "/tokens/0/value", "no spaces", nil},
		{"two of a kind", device(`,"tokens":[{"kind":"fcm","value":"a"},{"kind":"fcm","value":"b"}]`), 422, "invalid", "/tokens/1/kind", "at most one", nil},
		{"unknown environment", token(`"kind":"apns","value":"ab","environment":"dev"`), 422, "invalid", "/tokens/0/environment", "production or sandbox", nil},
		{"environment of FCM", token(`"kind":"fcm","value":"ab","environment":"sandbox"`), 422, "invalid", "/tokens/0/environment", "only", nil},
		{"subscription as a value", token(`"kind":"webpush","value":"https://x"`), 422, "invalid", "/tokens/0/subscription", "toJSON", nil},
		{"subscription and a value", token(`"kind":"webpush","value":"x","subscription":` + subscription(goodEndpoint, goodAuth)), 422, "invalid", "/tokens/0/value", "no value", nil},
		{"subscription of another kind", token(`"kind":"fcm","subscription":` + subscription(goodEndpoint, goodAuth)), 422, "invalid", "/tokens/0/subscription", "webpush", nil},
		{"subscription with short auth", token(`"kind":"webpush","subscription":` + subscription(goodEndpoint, "BTBZ")), 422, "invalid", "/tokens/0/subscription/keys/auth", "16 bytes", nil},
		{"subscription with a strange field", token(`"kind":"webpush","subscription":{"endpoint":"` + goodEndpoint + `","key":{}}`), 422, "invalid", "/tokens/0/subscription/key", "keys", nil},
		{"endpoint within our network", token(`"kind":"webpush","subscription":` + subscription("https://10.0.0.1/x", goodAuth)), 422, "invalid", "/tokens/0/subscription/endpoint", "none of those that are allowed", nil},
		{"endpoint of nobody", token(`"kind":"webpush","subscription":` + subscription("https://example.com/x", goodAuth)), 422, "invalid", "/tokens/0/subscription/endpoint", "push.services.mozilla.com", nil},
		{"endpoint without TLS", token(`"kind":"webpush","subscription":` + subscription("http://updates.push.services.mozilla.com/x", goodAuth)), 422, "invalid", "/tokens/0/subscription/endpoint", "https", nil},
		{"token as text", device(`,"tokens":"ab"`), 422, "invalid", "/tokens", "an array", nil},
		{"long user", device(`,"user_id":"` + strings.Repeat("x", 129) + `"`), 422, "invalid", "/user_id", "128", nil},
		{"user as number", device(`,"user_id":7`), 422, "invalid", "/user_id", "a string", nil},
		{"illegal channel", device(`,"channels":["news","a b"]`), 422, "invalid", "/channels/1", "_-=@,.;", nil},
		{"too many channels", device(`,"channels":` + list(1001, `"c%d"`)), 422, "invalid", "/channels", "1000", nil},
		{"unknown time zone", device(`,"time_zone":"Europe/Atlantis"`), 422, "invalid", "/time_zone", "Europe/Vienna", nil},
		{"long locale", device(`,"locale":"` + strings.Repeat("x", 36) + `"`), 422, "invalid", "/locale", "35", nil},
		{"too many tags", device(`,"tags":{` + strings.Trim(list(65, `"t%d":""`), "[]") + `}`), 422, "invalid", "/tags", "64", nil},
		{"long tag", device(`,"tags":{"a/b":"` + strings.Repeat("x", 257) + `"}`), 422, "invalid", "/tags/a~1b", "256", nil},
		{"tag as number", device(`,"tags":{"a":1}`), 422, "invalid", "/tags/a", "a string", nil},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.check(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d9", r.body, r.headers...))
			if a := s.Do(apitest.Token1, "GET", "/v1/devices/d9", ""); a.Status != 404 {
				t.Errorf("stored all the same: %s", a.Body)
			}
		})
	}
}

func TestPathsAndQueriesRefused(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios"}`), 201)
	message := messageOfApp1(t, s)
	for _, r := range []struct {
		method, path string
		refusal
	}{
		{"GET", "/v1/devices/a%2Fb", refusal{"slash in the id", "", 422, "invalid", "/device_id", "letters", nil}},
		{"GET", "/v1/devices/" + strings.Repeat("x", 129), refusal{"long id", "", 422, "invalid", "/device_id", "128", nil}},
		{"GET", "/v1/devices/%FF%2F", refusal{"id not UTF-8", "", 422, "invalid", "/device_id", "letters", nil}},
		{"PUT", "/v1/devices/d%201", refusal{"blank in the id", `{"platform":"ios"}`, 422, "invalid", "/device_id", "letters", nil}},
		{"GET", "/v1/devices/nobody", refusal{"unknown device", "", 404, "not_found", "-", "nobody", nil}},
		{"DELETE", "/v1/devices/nobody", refusal{"unknown device to delete", "", 404, "not_found", "-", "nobody", nil}},
		{"PUT", "/v1/devices/d1/channels/a%20b", refusal{"illegal channel", "", 422, "invalid", "/channel", "_-=@,.;", nil}},
		{"DELETE", "/v1/devices/d1/channels/" + strings.Repeat("x", 165), refusal{"long channel", "", 422, "invalid", "/channel", "164", nil}},
		{"PUT", "/v1/devices/nobody/channels/news", refusal{"unknown device to subscribe", "", 404, "not_found", "-", "nobody", nil}},
		{"GET", unknownMessage, refusal{"unknown message", "", 404, "not_found", "-", "msg_", nil}},
		{"GET", "/v1/messages/7", refusal{"no message id", "", 404, "not_found", "-", `\"7\"`, nil}},
		{"GET", unknownMessage + "/deliveries", refusal{"deliveries of an unknown message", "", 404, "not_found", "-", "msg_", nil}},
		{"GET", "/v1/devices?limit=0", refusal{"limit 0", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"GET", "/v1/devices?limit=1001", refusal{"limit 1001", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"GET", "/v1/devices?limit=ten", refusal{"limit in words", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"GET", "/v1/devices?limit=", refusal{"no limit", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"GET", "/v1/devices?limit=1&limit=2", refusal{"two limits", "", 422, "invalid", "/limit", "2 times", nil}},
		{"GET", "/v1/devices?cursor=", refusal{"empty cursor", "", 422, "invalid", "/cursor", "cursor", nil}},
		{"GET", "/v1/devices?cursor=!!", refusal{"bad cursor", "", 422, "invalid", "/cursor", "cursor", nil}},
		{"GET", "/v1/devices?cursor=" + strings.Repeat("x", 1025), refusal{"long cursor", "", 422, "invalid", "/cursor", "cursor", nil}},
		{"GET", "/v1/devices?user=ana", refusal{"misspelt filter", "", 422, "invalid", "/user", "user_id, cursor, limit", nil}},
		{"GET", "/v1/devices?user_id=", refusal{"empty user", "", 422, "invalid", "/user_id", "1 to 128", nil}},
		{"GET", "/v1/devices?a%2Fb=1", refusal{"parameter with a slash", "", 422, "invalid", "/a~1b", "there is no query parameter", nil}},
		{"GET", "/v1/devices?x=%zz", refusal{"broken query", "", 400, "malformed", "-", "query", nil}},
		{"GET", "/v1/devices/d1?verbose=1", refusal{"parameter where there is none", "", 422, "invalid", "/verbose", "there is no query parameter", nil}},
		{"POST", "/v1/webhooks/backend/dead-letters/resend", refusal{"a large choice", `{"sequences":[1]}` + strings.Repeat(" ", rest.MaxChosenBody), 413, "too_large", "", "32768", nil}},
		{"GET", message + "/deliveries?limit=1001", refusal{"limit of deliveries", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"GET", message + "/deliveries?cursor=!!", refusal{"cursor of deliveries", "", 422, "invalid", "/cursor", "cursor", nil}},
		{"GET", message + "/deliveries?user_id=ana", refusal{"filter of another list", "", 422, "invalid", "/user_id", "cursor, limit", nil}},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.check(t, s.Do(apitest.Token1, r.method, r.path, r.body))
		})
	}
}

func TestAClosedStoreMeansComeAgain(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	hello := `{"to":{"users":["ana"]},"notification":{"title":"x"}}`
	refusal{"", "", 503, "unavailable", "-", "shutting down", nil}.check(t, s.Do(apitest.Token1, "POST", "/v1/messages", hello))
	refusal{"", "", 503, "unavailable", "-", "shutting down", nil}.check(t, s.Do(apitest.Token1, "GET", "/v1/devices", ""))
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"users":["ana"]},"event":{"name":"e"}}`), 202)
}

func TestAFullDiskRefusesAndEventsGoOn(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Store: bolt.Options{MaxBytes: 1 << 20}})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios"}`), 201)
	body := `{"to":{"devices":["d1"]},"notification":{"title":"` + strings.Repeat("x", 3500) + `"}}`
	a := apitest.Answer{Status: 202}
	for n := 0; a.Status == 202 && n < 1000; n++ {
		a = s.Do(apitest.Token1, "POST", "/v1/messages", body)
	}
	refusal{"", "", 507, "storage_full", "-", "full", nil}.check(t, a)
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"users":["ana"]},"event":{"name":"e"}}`), 202)
	must(t, s.Do(apitest.Token1, "DELETE", "/v1/devices/d1", ""), 204)
}

func TestIdempotency(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios","user_id":"ana"}`), 201)
	body := `{"to":{"users":["ana"]},"event":{"name":"e"},"notification":{"title":"x"}}`
	key := "Idempotency-Key: ~ any printable text !"
	first := s.Do(apitest.Token1, "POST", "/v1/messages", body, key)
	must(t, first, 202)
	again := s.Do(apitest.Token1, "POST", "/v1/messages", body, key)
	must(t, again, 202)
	var a, b wire.Published
	first.JSON(t, &a)
	again.JSON(t, &b)
	if a.ID != b.ID || first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" ||
		first.Header.Get("Location") != again.Header.Get("Location") {
		t.Errorf("first %s %v, then %s %v", first.Body, first.Header, again.Body, again.Header)
	}
	if n := len(s.Fanned()); n != 1 {
		t.Errorf("the event went out %d times", n)
	}
	// Even a blank more is another body.
	refusal{"", "", 409, "conflict", "-", "idempotency", nil}.check(t, s.Do(apitest.Token1, "POST", "/v1/messages", body+" ", key))
	// A refused request does not use up its key.
	refusal{"", "", 422, "invalid", "/to", "empty", nil}.check(t, s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{},"notification":{"title":"x"}}`, "Idempotency-Key: k2"))
	if c := s.Do(apitest.Token1, "POST", "/v1/messages", body, "Idempotency-Key: k2"); c.Status != 202 || c.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%d %s", c.Status, c.Body)
	}
	// With a key, even an event alone is stored.
	event := `{"to":{"users":["ana"]},"event":{"name":"e"}}`
	if c := s.Do(apitest.Token1, "POST", "/v1/messages", event); c.Status != 202 || c.Header.Get("Location") != "" {
		t.Errorf("%d %v", c.Status, c.Header)
	}
	c := s.Do(apitest.Token1, "POST", "/v1/messages", event, "Idempotency-Key: k3")
	must(t, c, 202)
	var m wire.Message
	s.Do(apitest.Token1, "GET", c.Header.Get("Location"), "").JSON(t, &m)
	if m.State != diaphone.Finished || m.Counts.Accepted != 0 {
		t.Errorf("%+v", m)
	}
}
