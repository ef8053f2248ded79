package rest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/storage"
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

// An app whose deliveries pile up is told to wait; others, its events and its
// cancellations are not.
func TestTooMuchInStore(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Edit: func(a *diaphone.App) {
		a.Limits.Pending, a.Limits.Scheduled = 3, 2
		a.Tokens[0].Name, a.Tokens[0].Publishes = "cms", 1000
	}})
	for _, token := range []string{apitest.Token1, apitest.Token2} {
		for _, id := range []string{"d1", "d2"} {
			must(t, s.Do(token, "PUT", "/v1/devices/"+id, `{"platform":"android","user_id":"ana","tokens":[{"kind":"fcm","value":"token-`+id+`"}]}`), 201)
		}
	}
	const message = `{"to":{"users":["ana"]},"notification":{"title":"x"}}`
	post := func(token, body string) apitest.Answer { return s.Do(token, "POST", "/v1/messages", body) }
	refused := func(a apitest.Answer, wait, field string) {
		t.Helper()
		if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != wait || !strings.Contains(string(a.Body), field) {
			t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
		}
	}
	must(t, post(apitest.Token1, message), 202)
	a := post(apitest.Token1, message) // two deliveries, and there is room for one: it goes out whole
	must(t, a, 202)
	if got := a.Header.Get("RateLimit-Policy"); got != `"token";q=1000;w=1` || !strings.HasPrefix(a.Header.Get("RateLimit"), `"token";r=99`) {
		t.Errorf("policy %s, %s", got, a.Header.Get("RateLimit"))
	}
	refused(post(apitest.Token1, message), "5", "limits.pending")
	must(t, post(apitest.Token1, `{"to":{"users":["ana"]},"event":{"name":"e"}}`), 202)
	must(t, post(apitest.Token2, message), 202)
	settleAll(t, s, "google", storage.Result{State: diaphone.Expired, Reason: diaphone.ReasonExpired})
	must(t, post(apitest.Token1, message), 202)

	later := strings.Replace(message, `{"to"`, `{"send_at":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`","to"`, 1)
	first := post(apitest.Token1, later)
	must(t, first, 202)
	must(t, post(apitest.Token1, later), 202)
	refused(post(apitest.Token1, later), "60", "limits.scheduled")
	must(t, s.Do(apitest.Token1, "POST", first.Header.Get("Location")+"/cancel", ""), 200)
	must(t, post(apitest.Token1, later), 202)
}
