package rest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

func TestScheduledMessage(t *testing.T) {
	s := startReal(t)
	due := time.Now().Add(time.Hour).Truncate(time.Second)
	for name, body := range map[string]string{
		"both":       `"notification":{"title":"x","ttl":60},"event":{"name":"e"}`,
		"event only": `"event":{"name":"e"}`,
	} {
		text := due.In(time.FixedZone("", 5400)).Format(time.RFC3339)
		a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"channels":["news"]},"send_at":"`+text+`",`+body+`}`)
		must(t, a, 202)
		var p wire.Published
		a.JSON(t, &p)
		if !p.Stored || p.Counts.Accepted != 0 || a.Header.Get("Location") == "" {
			t.Errorf("%s: %s", name, a.Body)
		}
		var m wire.Message
		s.Do(apitest.Token1, "GET", a.Header.Get("Location"), "").JSON(t, &m)
		lasts := time.Hour
		if name == "both" {
			lasts = time.Minute
		}
		if m.State != diaphone.Scheduled || !m.SendAt.Equal(due) || m.ExpiresAt.Sub(due) != lasts {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if len(s.Fanned()) > 0 {
		t.Errorf("sent at once: %+v", s.Fanned())
	}
	// Just over: at once, as if nothing had been said.
	text := time.Now().Add(-50 * time.Second).UTC().Format(time.RFC3339Nano)
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":{"title":"x"},"send_at":"`+text+`"}`)
	must(t, a, 202)
	var m wire.Message
	s.Do(apitest.Token1, "GET", a.Header.Get("Location"), "").JSON(t, &m)
	if m.State != diaphone.Processing || !m.SendAt.IsZero() || m.Counts.Pending != 1 {
		t.Errorf("%+v", m)
	}
}

func TestTimesThatAreRefused(t *testing.T) {
	s := startReal(t)
	in := func(d time.Duration) string { return `"` + time.Now().Add(d).UTC().Format(time.RFC3339) + `"` }
	for sendAt, says := range map[string]string{
		in(-2 * time.Minute):            "over",
		in(diaphone.MaxSchedule + 1e10): "30 days",
		`"0001-01-02T00:00:00Z"`:        "over",
		`"2026-09-01T18:30:00"`:         "2026-09-01T18:30:00+02:00",
		`"2026-09-01 18:30:00Z"`:        "2026-09-01T18:30:00+02:00",
		`"tomorrow"`:                    "2026-09-01T18:30:00+02:00",
		`1790000000`:                    "2026-09-01T18:30:00+02:00",
		`{}`:                            "2026-09-01T18:30:00+02:00",
		`null`:                          "null",
	} {
		body := fmt.Sprintf(`{"to":{"devices":["d1"]},"notification":{"title":"x"},"send_at":%s}`, sendAt)
		r := refusal{status: 422, code: "invalid", pointer: "/send_at", says: says}
		r.check(t, s.Do(apitest.Token1, "POST", "/v1/messages", body))
		a := s.Do(apitest.Token1, "POST", "/v1/messages/batch", batchOf(body))
		must(t, a, 200)
		if !strings.Contains(string(a.Body), `"/messages/0/send_at"`) {
			t.Errorf("%s in a batch: %s", sendAt, a.Body)
		}
	}
	b := postBatch(t, s, batchOf(`{"to":{"devices":["d1"]},"notification":{"title":"x"},"send_at":`+in(time.Hour)+`}`))
	if b.Refused != 0 || b.Data[0].Message.Counts.Accepted != 0 {
		t.Errorf("%+v", b)
	}
}
