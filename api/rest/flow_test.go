package rest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

func TestLifeOfADevice(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const full = `{"platform":"ios","tokens":[{"kind":"apns","value":"ABcd","environment":"sandbox"},{"kind":"fcm","value":"tok:en"}],
		"user_id":"Ana Ñ","channels":["news"],"locale":"de-AT","time_zone":"Europe/Vienna","tags":{"v":"1","empty":""}}`
	created := s.Do(apitest.Token1, "PUT", "/v1/devices/a~b:c@d", full)
	must(t, created, 201)
	if l := created.Header.Get("Location"); l != "/v1/devices/a~b:c@d" {
		t.Errorf("Location %q", l)
	}
	var d wire.Device
	created.JSON(t, &d)
	if d.ID != "a~b:c@d" || d.UserID != "Ana Ñ" || d.Locale != "de-AT" || d.TimeZone != "Europe/Vienna" || len(d.Tags) != 2 || len(d.Tokens) != 2 ||
		d.Tokens[0].Environment != diaphone.Sandbox || d.Tokens[1].Fingerprint != diaphone.Secret("tok:en").Fingerprint() || d.CreatedAt.IsZero() {
		t.Errorf("%+v", d)
	}
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/a~b:c@d", full), 200)

	// However the path is escaped, it is the same device and channel.
	for _, path := range []string{"/v1/devices/a~b:c@d", "/v1/devices/a%7Eb%3Ac%40d", "/v1/devices/%61~b:c@d"} {
		must(t, s.Do(apitest.Token1, "GET", path, ""), 200)
	}
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/a%7Eb%3Ac%40d/channels/%23server-to-user-ben", ""), 204)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/a~b:c@d/channels/a%2Cb", ""), 204)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/a~b:c@d/channels/a,b", ""), 204)
	must(t, s.Do(apitest.Token1, "DELETE", "/v1/devices/a~b:c@d/channels/news", ""), 204)
	must(t, s.Do(apitest.Token1, "DELETE", "/v1/devices/a~b:c@d/channels/never", ""), 204)
	s.Do(apitest.Token1, "GET", "/v1/devices/a~b:c@d", "").JSON(t, &d)
	slices.Sort(d.Channels)
	if !slices.Equal(d.Channels, []diaphone.ChannelName{"#server-to-user-ben", "a,b"}) {
		t.Errorf("channels %v", d.Channels)
	}

	// What the body leaves out is gone.
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/a~b:c@d", `{"platform":"web"}`), 200)
	a := s.Do(apitest.Token1, "GET", "/v1/devices/a~b:c@d", "")
	if body := string(a.Body); !strings.Contains(body, `"tokens":[]`) || !strings.Contains(body, `"channels":[]`) || strings.Contains(body, "user_id") {
		t.Errorf("%s", body)
	}
	must(t, s.Do(apitest.Token1, "DELETE", "/v1/devices/a~b:c@d", ""), 204)
	must(t, s.Do(apitest.Token1, "GET", "/v1/devices/a~b:c@d", ""), 404)
}

func TestPagesOfDevices(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	for i := range 5 {
		must(t, s.Do(apitest.Token1, "PUT", fmt.Sprintf("/v1/devices/d%d", i), `{"platform":"android","user_id":"ana"}`), 201)
	}
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/bens", `{"platform":"android","user_id":"ben"}`), 201)
	for _, filter := range []string{"?limit=2", "?limit=2&user_id=ana"} {
		var seen []string
		for path := "/v1/devices" + filter; path != ""; {
			a := s.Do(apitest.Token1, "GET", path, "")
			must(t, a, 200)
			var p wire.Page[wire.Device]
			a.JSON(t, &p)
			for _, d := range p.Data {
				seen = append(seen, string(d.ID))
			}
			path = next(t, a, p.NextCursor)
		}
		want := []string{"d0", "d1", "d2", "d3", "d4", "bens"}
		if strings.Contains(filter, "user_id") {
			want = want[:5]
		}
		if !slices.Equal(seen, want) {
			t.Errorf("%s: %v", filter, seen)
		}
	}
}

// next takes the address of the next page from the header Link, and checks that
// it agrees with the body.
func next(t *testing.T, a apitest.Answer, cursor string) string {
	t.Helper()
	link := a.Header.Get("Link")
	if cursor == "" {
		if link != "" {
			t.Errorf("the last page has a next: %s", link)
		}
		return ""
	}
	path, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok || !strings.Contains(path, "limit=") {
		t.Fatalf("Link %q", link)
	}
	return path
}

func TestStoryOfAMessage(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/phone", `{"platform":"ios","user_id":"ana","tokens":[{"kind":"apns","value":"ab"}]}`), 201)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/pixel", `{"platform":"android","user_id":"ana","tokens":[{"kind":"fcm","value":"t"}]}`), 201)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/mute", `{"platform":"android","user_id":"ana"}`), 201)
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"users":["ana"]},"when":"away","notification":{"title":"x","ttl":60}}`)
	must(t, a, 202)
	where := a.Header.Get("Location")
	var m wire.Message
	s.Do(apitest.Token1, "GET", where, "").JSON(t, &m)
	if m.State != diaphone.Processing || m.Counts != (wire.Counts{Accepted: 3, Pending: 2, Failed: 1}) || m.When != diaphone.Away ||
		len(m.To.Users) != 1 || m.ExpiresAt.Sub(m.AcceptedAt.Time) != time.Minute || !m.FinishedAt.IsZero() {
		t.Errorf("%+v", m)
	}

	at := time.Date(2026, 9, 1, 8, 30, 0, 120e6, time.UTC)
	settle(t, s, "apple", diaphone.Delivered, diaphone.Attempt{At: at, Verdict: diaphone.Accepted, Status: 200, ProviderID: "apns-id", Latency: 9 * time.Millisecond})
	settle(t, s, "google", diaphone.Pending, diaphone.Attempt{At: at, Verdict: diaphone.Retry, Latency: time.Second})
	byDevice := map[diaphone.DeviceID]wire.Delivery{}
	for path := where + "/deliveries?limit=1"; path != ""; {
		a := s.Do(apitest.Token1, "GET", path, "")
		must(t, a, 200)
		var p wire.Page[wire.Delivery]
		a.JSON(t, &p)
		for _, d := range p.Data {
			byDevice[d.DeviceID] = d
		}
		path = next(t, a, p.NextCursor)
	}
	phone, pixel, mute := byDevice["phone"], byDevice["pixel"], byDevice["mute"]
	if phone.State != diaphone.Delivered || phone.Provider != diaphone.APNs || phone.Credential != "apple" || len(phone.Attempts) != 1 {
		t.Fatalf("%+v", phone)
	}
	if got := phone.Attempts[0]; got != (wire.Attempt{At: wire.At(at), Verdict: diaphone.Accepted, Status: 200, ProviderID: "apns-id", LatencyMS: 9}) {
		t.Errorf("%+v", got)
	}
	if pixel.State != diaphone.Pending || pixel.Provider != diaphone.FCM || pixel.RetryAt.IsZero() || pixel.Attempts[0].LatencyMS != 1000 {
		t.Errorf("%+v", pixel)
	}
	if mute.State != diaphone.Failed || mute.Reason != "no_token" || mute.Provider != "" || mute.Credential != "" {
		t.Errorf("%+v", mute)
	}
}

// settle plays the asleep side for one lane.
func settle(t *testing.T, s *apitest.Server, credential string, state diaphone.State, a diaphone.Attempt) {
	t.Helper()
	ctx, now := context.Background(), time.Now()
	lane := diaphone.Lane{App: "1", Credential: credential}
	batches, _, err := s.Store.Claim(ctx, storage.Claim{Lane: lane, Now: now, N: 10, Lease: time.Minute})
	if err != nil || len(batches) != 1 || len(batches[0].Items) != 1 {
		t.Fatalf("claimed %v, %v", batches, err)
	}
	r := storage.Result{Index: batches[0].Items[0].Index, State: state, Attempt: &a, Tries: 1}
	if state == diaphone.Pending {
		r.RetryAt = now.Add(time.Minute)
	}
	if _, err := s.Store.Settle(ctx, []storage.Settlement{{Batch: &batches[0], Results: []storage.Result{r}}}, now); err != nil {
		t.Fatal(err)
	}
}

func TestWhatReachesTheLiveSide(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"channels":["news"],"users":["ana"]},"event":{"name":"e","data":{"a": [1]},"except_socket":"1.2"}}`), 202)
	must(t, s.Do(apitest.Token2, "POST", "/v1/messages", `{"to":{"channels":["news"]},"event":{"name":"e","data":"{\"a\":1}"}}`), 202)
	got := s.Fanned()
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	if e := got[0].Event; got[0].App != "1" || e.Name != "e" || e.Data != `{"a": [1]}` || e.ExceptSocket != "1.2" ||
		!slices.Equal(got[0].Channels, []diaphone.ChannelName{"news", "#server-to-user-ana"}) {
		t.Errorf("%+v", got[0])
	}
	if got[1].App != "2" || got[1].Event.Data != `{"a":1}` {
		t.Errorf("%+v", got[1])
	}
}

// The asleep side asks at once who has taken the event, so it is told of a message
// when that is out; and of a message that it had, not again.
func TestTheAsleepSideIsToldBehindTheEvent(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const message = `{"to":{"channels":["news"]},"event":{"name":"e"},"notification":{"body":"hi"}}`
	for range 2 {
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages", message, "Idempotency-Key: one"), 202)
	}
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", strings.Replace(message, `{"to"`, `{"when":"always","to"`, 1)), 202)
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages/batch", `{"messages":[`+message+`,`+message+`]}`), 200)
	if got := s.Wakes(); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("told when %v events were out, want 1 to 4", got)
	}
}

// What counts as proof, and how long it may take, is the message's to say, alone as in
// a batch.
func TestWhatProvesThatAMessageIsTaken(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const start, end = `{"to":{"channels":["news"]},"event":{"name":"e"},"notification":{"body":"hi"}`, `}`
	for confirm, want := range map[string]diaphone.Confirmation{
		``:                            {Within: 3 * time.Second, By: diaphone.ByPong},
		`,"confirm":{"by":"receipt"}`: {Within: 3 * time.Second, By: diaphone.ByReceipt},
		`,"confirm":{"within":25}`:    {Within: 25 * time.Second, By: diaphone.ByPong},
		`,"confirm":{"within":12.5,"by":"receipt"}`: {Within: 12500 * time.Millisecond, By: diaphone.ByReceipt},
	} {
		before := len(s.Fanned())
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages", start+confirm+end), 202)
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages/batch", `{"messages":[`+start+confirm+end+`]}`), 200)
		for _, f := range s.Fanned()[before:] {
			within := time.Until(f.Awaited.Until)
			if f.Awaited.By != want.By || within > want.Within || within < want.Within-2*time.Second {
				t.Errorf("%s: by %s within %s, want %+v", confirm, f.Awaited.By, within, want)
			}
		}
	}
}

// Neither bearer tokens, nor device tokens, nor what people write to each other
// may come to rest in the log, in metrics or in an answer, but for the device
// itself, which its owner may read.
func TestCanariesStayInTheirCage(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const deviceToken, text, user = "deadbeefcanary", "what Ben wrote: canary", "canary-user"
	var answers strings.Builder
	do := func(token, method, path, body string, headers ...string) {
		a := s.Do(token, method, path, body, headers...)
		if strings.HasPrefix(path, "/v1/devices") && a.Status < 300 {
			return
		}
		fmt.Fprintf(&answers, "%v %s\n", a.Header, a.Body)
	}
	for _, body := range []string{
		`{"platform":"ios","tokens":[{"kind":"fcm","value":"` + deviceToken + `"}]}`,
		`{"platform":"ios","tokens":[{"kind":"apns","value":"` + deviceToken + `"}]}`,
		`{"platform":"ios","tokens":[{"kind":"fcm","value":"` + deviceToken + ` "}]}`,
		`{"platform":"ios","tokens":["` + deviceToken + `"]}`,
		`{"platform":"ios","tokens":"` + deviceToken + `"}`,
		`{"platform":"ios","tokens":[{"kind":"fcm","value":"` + deviceToken,
		`{"platform":"ios","tokens":[{"kind":"fcm","value":"` + deviceToken + `\ud800"}]}`,
		`{"platform":"ios","tokens":[{"kind":"fcm","value":"` + deviceToken + "\xff" + `"}]}`,
	} {
		do(apitest.Token1, "PUT", "/v1/devices/d1", body)
	}
	do(apitest.Token1, "GET", "/v1/devices/d1", "")
	do(apitest.Token1, "GET", "/v1/devices?user_id="+user, "")
	do(apitest.Token1, "GET", "/v1/devices?access_token="+apitest.Token1, "")
	do("", "GET", "/v1/devices", "", "Authorization: Basic "+apitest.Token1)
	do("", "GET", "/v1/devices", "", "Authorization: Bearer x"+apitest.Token1)
	do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":{"title":"`+text+`"}}`)
	do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":{"title":"`+text+`","ttl":-1}}`)
	do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":{"titel":"`+text+`"}}`)
	do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":"`+text+`"}`)
	do("", "GET", "/metrics", "")
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios","tokens":[{"kind":"fcm","value":"`+deviceToken+`"}]}`)
	for name, text := range map[string]string{"the log": s.Log(), "an answer": answers.String()} {
		for _, secret := range []string{apitest.Token1, deviceToken, "what Ben wrote", user} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s has %q: …%s…", name, secret, text[max(0, i-200):min(len(text), i+200)])
			}
		}
	}
	if !strings.Contains(s.Log(), `"route":"/v1/devices/:device_id"`) {
		t.Error("the log was not written, so this test shows nothing")
	}
}
