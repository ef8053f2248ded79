package rest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
)

func TestADisabledApp(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Edit: func(a *diaphone.App) { a.Disabled = a.ID == "1" }})
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/messages", `{"to":{"channels":["a"]},"event":{"name":"e","data":"1"}}`},
		{http.MethodGet, "/v1/devices", ""},
		{http.MethodPut, "/v1/devices/d1", `{"platform":"ios"}`},
		{http.MethodGet, unknownMessage, ""},
		{http.MethodGet, "/v1/channels/news/events", ""},
	} {
		if a := s.Do(apitest.Token1, r.method, r.path, r.body); a.Status != http.StatusForbidden || !strings.Contains(string(a.Body), "disabled") {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
		}
	}
	if a := s.Do(apitest.Token2, http.MethodGet, "/v1/devices", ""); a.Status != http.StatusOK {
		t.Errorf("the other app: %d %s", a.Status, a.Body)
	}
}

func TestPublishingOverTheRate(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Edit: func(a *diaphone.App) {
		if a.ID == "1" {
			a.Limits.Publishes = 1
		}
	}})
	const message = `{"to":{"channels":["a"]},"event":{"name":"e","data":"1"}}`
	const most = 200 // even a machine that halts for seconds is over the rate then
	taken := 0
	var a apitest.Answer
	for ; taken < most; taken++ {
		if a = s.Do(apitest.Token1, http.MethodPost, "/v1/messages", message); a.Status != http.StatusAccepted {
			break
		}
		if a.Header.Get("RateLimit-Policy") != `"publishes";q=1;w=1` || !strings.HasPrefix(a.Header.Get("RateLimit"), `"publishes";r=`) {
			t.Errorf("headers %v", a.Header)
		}
	}
	if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" || !strings.Contains(a.Header.Get("RateLimit"), "r=0;") || taken < 10 {
		t.Errorf("after %d: %d %v %s", taken, a.Status, a.Header, a.Body)
	}
	// Of a batch as much goes out as there is room for.
	batch := `{"messages":[` + strings.Repeat(message+",", 19) + message + `]}`
	a = s.Do(apitest.Token1, http.MethodPost, "/v1/messages/batch", batch)
	if n := strings.Count(string(a.Body), `"rate_limited"`); a.Status != http.StatusOK || n < 1 || n > 20 || a.Header.Get("RateLimit-Policy") == "" {
		t.Errorf("%d of a batch were refused: %d %s", n, a.Status, a.Body)
	} else {
		taken += 20 - n
	}
	if n := len(s.Fanned()); n != taken {
		t.Errorf("%d events went out of %d accepted", n, taken)
	}
	for range 50 {
		if a := s.Do(apitest.Token2, http.MethodPost, "/v1/messages", message); a.Status != http.StatusAccepted || a.Header.Get("RateLimit") != "" {
			t.Fatalf("the other app: %d %v", a.Status, a.Header)
		}
	}
}
