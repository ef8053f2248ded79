package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// past asks for the history of a channel.
func past(t *testing.T, s *apitest.Server, token, path string) wire.Past {
	t.Helper()
	a := s.Do(token, "GET", path, "")
	must(t, a, 200)
	var p wire.Past
	a.JSON(t, &p)
	return p
}

func names(p wire.Past) string {
	var all []string
	for _, e := range p.Data {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func TestPastEvents(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	publish := func(n int, channel string) {
		t.Helper()
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages", fmt.Sprintf(`{"to":{"channels":[%q]},"event":{"name":"e%d","data":{"n":%d}}}`, channel, n, n)), 202)
	}
	start := past(t, s, apitest.Token1, "/v1/channels/news/events")
	if len(start.Data) != 0 || start.Position == "" || start.Complete {
		t.Errorf("%+v", start)
	}
	for n := range 5 {
		publish(n, "news")
		publish(n, "newspaper")
	}
	all := past(t, s, apitest.Token1, "/v1/channels/news/events?since="+start.Position)
	if names(all) != "e0 e1 e2 e3 e4" || !all.Complete || all.Data[4].Data != `{"n":4}` || all.Data[0].PublishedAt.IsZero() {
		t.Errorf("%+v", all)
	}
	two := past(t, s, apitest.Token1, "/v1/channels/news/events?limit=2&since="+all.Data[0].Position)
	if names(two) != "e1 e2" || !two.Complete || two.Position != all.Data[2].Position {
		t.Errorf("%+v", two)
	}
	rest := past(t, s, apitest.Token1, "/v1/channels/news/events?limit=2&since="+two.Position)
	if names(rest) != "e3 e4" || !rest.Complete {
		t.Errorf("%+v", rest)
	}
	publish(5, "news") // and e0 goes
	if p := past(t, s, apitest.Token1, "/v1/channels/news/events?since="+start.Position); names(p) != "e1 e2 e3 e4 e5" || p.Complete {
		t.Errorf("%+v", p)
	}
	if p := past(t, s, apitest.Token1, "/v1/channels/news/events?since=0123456789abcdef:3"); names(p) != "e1 e2 e3 e4 e5" || p.Complete {
		t.Errorf("another epoch: %+v", p)
	}
	if p := past(t, s, apitest.Token2, "/v1/channels/news/events"); len(p.Data) != 0 {
		t.Errorf("another app: %+v", p)
	}
}

func TestPastEventsThatAreRefused(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	for path, want := range map[string]struct {
		status int
		part   string
	}{
		"/v1/channels/sports/events":             {404, "keeps no history"},
		"/v1/channels/a%20b/events":              {422, "/channel"},
		"/v1/channels/news/events?since=x":       {422, "/since"},
		"/v1/channels/news/events?since=x:-1":    {422, "/since"},
		"/v1/channels/news/events?since=:1":      {422, "/since"},
		"/v1/channels/news/events?limit=0":       {422, "/limit"},
		"/v1/channels/news/events?cursor=x":      {422, "/cursor"},
		"/v1/channels/news/events?since=a&since": {422, "duplicate"},
	} {
		if a := s.Do(apitest.Token1, "GET", path, ""); a.Status != want.status || !strings.Contains(string(a.Body), want.part) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}
