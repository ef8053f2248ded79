package rest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/storage"
)

var backend = diaphone.WebhookID{App: "1", Name: "backend"}

// owe appends n notices to a webhook's queue and buries the first dead of them.
func owe(t *testing.T, s *apitest.Server, to diaphone.WebhookID, n, dead int) {
	t.Helper()
	var a storage.Append
	for i := range n {
		notice := diaphone.Notice{ID: fmt.Sprint("n", i+1), At: when(i), Kind: diaphone.MemberAdded, Channel: "presence-a", User: "ana"}
		a.Notices = append(a.Notices, storage.AddressedNotice{Notice: notice, Webhooks: []diaphone.WebhookID{to}})
	}
	if err := s.Store.Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.Bury(t.Context(), to, uint64(dead), "503 Service Unavailable", when(1000)); err != nil {
		t.Fatal(err)
	}
}

func when(second int) time.Time { return time.Unix(1_790_000_000+int64(second), 0).UTC() }

func webhooks(t *testing.T, s *apitest.Server, token string) []wire.Webhook {
	t.Helper()
	a := s.Do(token, "GET", "/v1/webhooks", "")
	must(t, a, 200)
	for _, secret := range []string{"secretive", "/in"} {
		if strings.Contains(string(a.Body), secret) {
			t.Errorf("the answer shows more of the URL than its host: %s", a.Body)
		}
	}
	var p wire.Page[wire.Webhook]
	a.JSON(t, &p)
	return p.Data
}

func TestHowWebhooksFare(t *testing.T) {
	var states map[diaphone.WebhookID]gateway.WebhookState
	s := apitest.Start(t, apitest.Options{Webhooks: func() map[diaphone.WebhookID]gateway.WebhookState { return states }})
	quiet := wire.Webhook{Name: "backend", Declared: true, Format: "pusher", Host: "hooks.example.com:8443", ChannelPrefixes: []string{"presence-"},
		Events: []diaphone.NoticeKind{diaphone.ChannelOccupied, diaphone.ChannelVacated, diaphone.MemberAdded, diaphone.MemberRemoved, diaphone.CacheMiss}}
	if got := webhooks(t, s, apitest.Token1); !reflect.DeepEqual(got, []wire.Webhook{quiet}) {
		t.Errorf("before anything happened: %+v", got)
	}
	owe(t, s, backend, 5, 2)
	states = map[diaphone.WebhookID]gateway.WebhookState{
		backend:                     {FailingSince: when(1), NextAttempt: when(60), LastStatus: 503, LastError: "503 Service Unavailable"},
		{App: "2", Name: "backend"}: {LastStatus: 200},
	}
	owe(t, s, diaphone.WebhookID{App: "1", Name: "removed"}, 3, 1)
	owe(t, s, diaphone.WebhookID{App: "1", Name: "empty"}, 1, 0)
	if err := s.Store.Done(t.Context(), diaphone.WebhookID{App: "1", Name: "empty"}, 1); err != nil {
		t.Fatal(err)
	}
	busy := quiet
	busy.Pending, busy.DeadLetters, busy.LastSequence, busy.OldestPendingAt = 3, 2, 5, wire.At(when(2))
	busy.FailingSince, busy.NextAttemptAt, busy.LastStatus, busy.LastError = wire.At(when(1)), wire.At(when(60)), 503, "503 Service Unavailable"
	left := wire.Webhook{Name: "removed", Events: []diaphone.NoticeKind{}, ChannelPrefixes: []string{}, Pending: 2, DeadLetters: 1, LastSequence: 3, OldestPendingAt: wire.At(when(1))}
	if got := webhooks(t, s, apitest.Token1); !reflect.DeepEqual(got, []wire.Webhook{busy, left}) {
		t.Errorf("got %+v, want %+v", got, []wire.Webhook{busy, left})
	}
	if got := webhooks(t, s, apitest.Token2); len(got) != 0 {
		t.Errorf("the other app sees %+v", got)
	}
}

func deadLetters(t *testing.T, s *apitest.Server, path string) (list []string, next string) {
	t.Helper()
	a := s.Do(apitest.Token1, "GET", path, "")
	must(t, a, 200)
	var p wire.Page[wire.DeadLetter]
	a.JSON(t, &p)
	for _, l := range p.Data {
		list = append(list, fmt.Sprintf("%d:%s", l.Sequence, l.ID))
	}
	if linked := a.Header.Get("Link") != ""; linked != (p.NextCursor != "") {
		t.Errorf("Link %q, next cursor %q", a.Header.Get("Link"), p.NextCursor)
	}
	return list, p.NextCursor
}

func handled(t *testing.T, a apitest.Answer) string {
	t.Helper()
	must(t, a, 200)
	var h wire.Handled
	a.JSON(t, &h)
	return fmt.Sprint(h.Count, h.More)
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestDeadLetters(t *testing.T) {
	const path = "/v1/webhooks/backend/dead-letters"
	s := apitest.Start(t, apitest.Options{})
	owe(t, s, backend, 6, 5)
	var p wire.Page[wire.DeadLetter]
	s.Do(apitest.Token1, "GET", path+"?limit=1", "").JSON(t, &p)
	same(t, "the first", p.Data, []wire.DeadLetter{{Sequence: 1, ID: "n1", HappenedAt: wire.At(when(0)), BuriedAt: wire.At(when(1000)),
		Reason: "503 Service Unavailable", Name: diaphone.MemberAdded, Channel: "presence-a", UserID: "ana"}})
	first, next := deadLetters(t, s, path+"?limit=2")
	second, end := deadLetters(t, s, path+"?cursor="+next)
	same(t, "pages", fmt.Sprint(first, second, end == ""), "[1:n1 2:n2] [3:n3 4:n4 5:n5] true")

	same(t, "resent", handled(t, s.Do(apitest.Token1, "POST", path+"/resend", `{"sequences":[4,2,77]}`)), "2 false")
	same(t, "woken", s.Woken(), []diaphone.WebhookID{backend})
	same(t, "none resent", handled(t, s.Do(apitest.Token1, "POST", path+"/resend", `{"sequences":[77]}`)), "0 false")
	same(t, "woken for nothing", len(s.Woken()), 1)
	same(t, "discarded", handled(t, s.Do(apitest.Token1, "DELETE", path+"?sequences=5,77", "")), "1 false")
	left, _ := deadLetters(t, s, path)
	same(t, "left", left, []string{"1:n1", "3:n3"})
	same(t, "the rest resent", handled(t, s.Do(apitest.Token1, "POST", path+"/resend", "")), "2 false")
	front, err := s.Store.Front(t.Context(), backend, 10)
	if err != nil {
		t.Fatal(err)
	}
	var queue []string
	for _, q := range front {
		queue = append(queue, fmt.Sprintf("%d:%s", q.Seq, q.Notice.ID))
	}
	same(t, "queue", queue, []string{"6:n6", "7:n2", "8:n4", "9:n1", "10:n3"})
}

func TestManyDeadLetters(t *testing.T) {
	const path = "/v1/webhooks/backend/dead-letters"
	s := apitest.Start(t, apitest.Options{})
	owe(t, s, backend, 2002, 2002)
	same(t, "resent", handled(t, s.Do(apitest.Token1, "POST", path+"/resend", `{}`)), "1000 true")
	same(t, "discarded", handled(t, s.Do(apitest.Token1, "DELETE", path, "")), "1000 true")
	same(t, "discarded", handled(t, s.Do(apitest.Token1, "DELETE", path, "")), "2 false")
}

func TestDeadLettersOfAWebhookThatIsDeclaredNoMore(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	owe(t, s, diaphone.WebhookID{App: "1", Name: "removed"}, 2, 2)
	const path = "/v1/webhooks/removed/dead-letters"
	list, _ := deadLetters(t, s, path)
	same(t, "dead letters", list, []string{"1:n1", "2:n2"})
	refusal{"", "", 404, "not_found", "-", "apps file", nil}.check(t, s.Do(apitest.Token1, "POST", path+"/resend", ""))
	same(t, "discarded", handled(t, s.Do(apitest.Token1, "DELETE", path, "")), "2 false")
	must(t, s.Do(apitest.Token2, "DELETE", path, ""), 404)
}

func TestDeadLettersRefused(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	owe(t, s, backend, 2, 2)
	const path = "/v1/webhooks/backend/dead-letters"
	numbers := strings.TrimPrefix(strings.Repeat(",7", 1001), ",")
	for _, r := range []struct {
		method, path string
		refusal
	}{
		{"GET", "/v1/webhooks/none/dead-letters", refusal{"unknown webhook", "", 404, "not_found", "-", `\"none\"`, nil}},
		{"DELETE", "/v1/webhooks/none/dead-letters", refusal{"unknown webhook to discard", "", 404, "not_found", "-", "apps file", nil}},
		{"POST", "/v1/webhooks/none/dead-letters/resend", refusal{"unknown webhook to resend", "", 404, "not_found", "-", "apps file", nil}},
		{"GET", "/v1/webhooks?limit=1", refusal{"pages of webhooks", "", 422, "invalid", "/limit", "no query parameter", nil}},
		{"GET", path + "?limit=0", refusal{"limit", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"GET", path + "?cursor=!!", refusal{"cursor", "", 422, "invalid", "/cursor", "cursor", nil}},
		{"DELETE", path + "?sequences=", refusal{"no number", "", 422, "invalid", "/sequences", "7,8,12", nil}},
		{"DELETE", path + "?sequences=7,", refusal{"half a list", "", 422, "invalid", "/sequences", "7,8,12", nil}},
		{"DELETE", path + "?sequences=-1", refusal{"a negative number", "", 422, "invalid", "/sequences", "7,8,12", nil}},
		{"DELETE", path + "?sequences=0", refusal{"number 0", "", 422, "invalid", "/sequences", "begin with 1", nil}},
		{"DELETE", path + "?sequences=" + numbers, refusal{"too many numbers", "", 422, "invalid", "/sequences", "1 to 1000", nil}},
		{"DELETE", path + "?sequence=1", refusal{"a misspelt parameter", "", 422, "invalid", "/sequence", "sequences", nil}},
		{"POST", path + "/resend", refusal{"an empty list", `{"sequences":[]}`, 422, "invalid", "/sequences", "leave them out", nil}},
		{"POST", path + "/resend", refusal{"number 0 in a body", `{"sequences":[1,0]}`, 422, "invalid", "/sequences", "begin with 1", nil}},
		{"POST", path + "/resend", refusal{"a fraction", `{"sequences":[1.5]}`, 422, "invalid", "/sequences/0", "whole number", nil}},
		{"POST", path + "/resend", refusal{"too many in a body", `{"sequences":[` + numbers + `]}`, 422, "invalid", "/sequences", "1 to 1000", nil}},
		{"POST", path + "/resend", refusal{"a misspelt field", `{"sequence":[1]}`, 422, "invalid", "/sequence", "sequences", nil}},
		{"POST", path + "/resend", refusal{"another type of body", "1", 415, "unsupported_media_type", "-", "application/json", []string{"Content-Type: text/plain"}}},
		{"POST", path + "/resend?sequences=1", refusal{"numbers in the query", "", 422, "invalid", "/sequences", "no query parameter", nil}},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.check(t, s.Do(apitest.Token1, r.method, r.path, r.body, r.headers...))
		})
	}
	left, _ := deadLetters(t, s, path)
	same(t, "left", left, []string{"1:n1", "2:n2"})
}
