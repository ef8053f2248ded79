package rest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/providers"
)

func startReal(t *testing.T) *apitest.Server {
	t.Helper()
	s := apitest.Start(t, apitest.Options{Providers: map[diaphone.ProviderName]providers.Provider{
		diaphone.APNs: newAPNs(t), diaphone.FCM: newFCM(t), diaphone.WebPush: newWebPush(t),
	}})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"android","tokens":[{"kind":"fcm","value":"t"}]}`), 201)
	return s
}

func preview(t *testing.T, s *apitest.Server, body string) wire.Preview {
	t.Helper()
	a := s.Do(apitest.Token1, "POST", "/v1/messages?preview=1", body)
	must(t, a, 200)
	if l := a.Header.Get("Location"); l != "" {
		t.Errorf("a preview is said to be at %s", l)
	}
	var p wire.Preview
	a.JSON(t, &p)
	return p
}

func to(notification string) string {
	return `{"to":{"devices":["d1"]},"notification":` + notification + `}`
}

// What is shown is what the providers render, to the byte.
func TestPreview(t *testing.T) {
	s := startReal(t)
	p := preview(t, s, `{"to":{"devices":["d1"]},"event":{"name":"e"},"notification":{"title":"<Ben> & co","ttl":0,"collapse_id":"c","data":{"chat":"7"},"apns":{"aps":{"sound":"x.caf"}}}}`)
	if !p.Event || len(p.Notifications) != 3 {
		t.Fatalf("%+v", p)
	}
	apple, google := p.Notifications[0], p.Notifications[1]
	want := `{"_mid":"` + strings.Repeat("0", 30) + `","aps":{"alert":{"title":"<Ben> & co"},"sound":"x.caf"},"chat":"7","_nid":"` + strings.Repeat("0", 36) + `"}`
	if apple.Payload != want || apple.Credential != "apple" || apple.Provider != diaphone.APNs || apple.Limit != 4096 {
		t.Errorf("%+v, want %s", apple, want)
	}
	if got := fmt.Sprint(apple.Headers); got != "map[apns-collapse-id:c apns-expiration:0 apns-priority:10 apns-push-type:alert apns-topic:dev.diaphone.test]" {
		t.Errorf("headers %s", got)
	}
	var message struct {
		Data    map[string]string
		Android map[string]any
	}
	if err := json.Unmarshal([]byte(google.Payload), &message); err != nil || message.Data["chat"] != "7" || message.Android["ttl"] != "0s" {
		t.Errorf("%v: %s", err, google.Payload)
	}
	for _, n := range p.Notifications {
		if n.Size != len(n.Payload) {
			t.Errorf("%s: %d bytes are said to be %d", n.Credential, len(n.Payload), n.Size)
		}
	}
	if lanes, err := s.Store.Lanes(t.Context()); err != nil || len(lanes) > 0 || len(s.Fanned()) > 0 {
		t.Errorf("a preview has been sent: %v %v %v", lanes, s.Fanned(), err)
	}
	if p := preview(t, s, `{"to":{"channels":["news"]},"event":{"name":"e"}}`); !p.Event || len(p.Notifications) != 0 {
		t.Errorf("%+v", p)
	}
}

// A preview uses up no idempotency key.
func TestPreviewTakesNoKey(t *testing.T) {
	s := startReal(t)
	const key = "Idempotency-Key: k"
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages?preview=1", to(`{"title":"x"}`), key), 200)
	a := s.Do(apitest.Token1, "POST", "/v1/messages", to(`{"title":"y"}`), key)
	must(t, a, 202)
	if a.Header.Get("Idempotent-Replayed") != "" {
		t.Error("the preview was replayed")
	}
}

func TestWarnings(t *testing.T) {
	s := startReal(t)
	for notification, want := range map[string]string{
		`{"title":"x"}`: "",
		`{"title":"x","sound":"default","badge":1}`:                        "",
		`{"data":{"k":"v"}}`:                                               "apple background_throttled, google high_shows_nothing",
		`{"data":{"k":"v"},"priority":"normal"}`:                           "apple background_throttled",
		`{"badge":3}`:                                                      "google high_shows_nothing, google android_shows_nothing",
		`{"title":"x","ttl":0}`:                                            "",
		`{"title":"x","ttl":0,"priority":"normal"}`:                        "apple normal_now_or_never, google normal_now_or_never, browsers normal_now_or_never",
		`{"title":"x","image":"https://x/y.png"}`:                          "apple image_needs_extension",
		`{"image":"https://x/y.png"}`:                                      "apple alert_shows_nothing, apple image_without_text",
		`{"title":"x","apns":{"headers":{"apns-push-type":"background"}}}`: "apple background_shows",
		`{"data":{"k":"v"},"apns":{"headers":{"apns-push-type":"alert"}}}`: "apple alert_shows_nothing, google high_shows_nothing",
		`{"data":{"k":"v"},"fcm":{"notification":{"title":"x"}}}`:          "apple background_throttled",
		`{"mode":"background"}`:                                            "apple background_throttled",
		`{"mode":"voip","data":{"id":"1"}}`:                                "",
		`{"mode":"voip","data":{"id":"1"},"ttl":60}`:                       "",
		`{"mode":"voip","data":{"id":"1"},"ttl":61}`:                       "apple late_call, google late_call, browsers late_call",
		`{"title":"x","apns":{"headers":{"apns-push-type":"voip"}}}`:       "apple voip_without_mode",
	} {
		var got []string
		for _, n := range preview(t, s, to(notification)).Notifications {
			for _, w := range n.Warnings {
				got = append(got, n.Credential+" "+w.Code)
				if !strings.HasPrefix(w.Pointer, "/notification") || w.Detail == "" {
					t.Errorf("%s: %+v", notification, w)
				}
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, want %s", notification, got, want)
		}
	}
}

// What would be refused is refused alike.
func TestPreviewRefusesAsPublishing(t *testing.T) {
	s := startReal(t)
	for _, body := range []string{
		to(`{"title":"x","ttl":-1,"badge":-1}`), to(`{"body":"` + strings.Repeat("x", 5000) + `"}`), to(`{}`), `{`, `{"to":{}}`,
		to(`{"title":"x","apns":{"headers":{"apns-priority":"7"}}}`), `{"to":{"users":["ana"]},"event":{"name":"pusher:x"}}`,
	} {
		var shown, sent wire.Problem
		s.Do(apitest.Token1, "POST", "/v1/messages?preview=1", body).JSON(t, &shown)
		s.Do(apitest.Token1, "POST", "/v1/messages", body).JSON(t, &sent)
		if shown.Status != sent.Status || shown.Code != sent.Code || shown.Detail != sent.Detail || !slices.Equal(shown.Errors, sent.Errors) || shown.Status < 400 {
			t.Errorf("%.60s: %+v, published %+v", body, shown, sent)
		}
	}
	for _, query := range []string{"preview=0", "preview=true", "preview=", "preview", "preview=1&preview=1", "Preview=1"} {
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages?"+query, to(`{"title":"x"}`)), 422)
	}
}
