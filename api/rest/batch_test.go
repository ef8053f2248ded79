package rest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/rest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/providers"
)

func batchOf(messages ...string) string { return `{"messages":[` + strings.Join(messages, ",") + `]}` }

// postBatch publishes a batch that must be answered message by message.
func postBatch(t *testing.T, s *apitest.Server, body string, headers ...string) wire.Batch {
	t.Helper()
	a := s.Do(apitest.Token1, "POST", "/v1/messages/batch", body, headers...)
	must(t, a, 200)
	var b wire.Batch
	a.JSON(t, &b)
	return b
}

// statuses tells what became of each message: its status, with r when it is a replay.
func statuses(t *testing.T, b wire.Batch) string {
	t.Helper()
	var all []string
	refused := 0
	for _, r := range b.Data {
		text := fmt.Sprint(r.Status)
		if r.Replayed {
			text += "r"
		}
		if r.Problem != nil {
			refused++
		}
		if (r.Message == nil) != (r.Status != 202) || (r.Problem == nil) != (r.Status == 202) || r.Problem != nil && r.Problem.Status != r.Status {
			t.Errorf("%+v", r)
		}
		all = append(all, text)
	}
	if refused != b.Refused {
		t.Errorf("%d refused, says %d", refused, b.Refused)
	}
	return strings.Join(all, " ")
}

// eventTo is an event that carries a number.
func eventTo(channel string, n int) string {
	return fmt.Sprintf(`{"to":{"channels":[%q]},"event":{"name":"e","data":%d}}`, channel, n)
}

const push = `{"to":{"users":["ana"]},"notification":{"title":"x"}}`

func TestBatch(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios","user_id":"ana","tokens":[{"kind":"apns","value":"ab"}]}`), 201)
	b := postBatch(t, s, batchOf(
		eventTo("news", 0),
		push,
		`{"to":{"channels":["news"]},"event":{"name":"e","data":1},"notification":{"title":"both"}}`,
		`{"to":{"channels":["news","a b"]},"event":{"name":"e","data":-1}}`,
		`{"to":{"users":["ana"]},"notification":{"titel":"x"}}`,
		`{"to":{"users":["ana"]},"notification":{"title":"x","ttl":-1}}`,
		`{"to":{"users":["ana"]},"notification":{"title":"`+strings.Repeat("x", 5000)+`"}}`,
		`null`, `[]`, `{}`,
		`{"to":{"users":["ana"]},"notification":{"title":"`+strings.Repeat("x", rest.MaxMessageBody)+`"}}`,
		`{"to":{"users":["ana"]},"notification":{"title":"x"},"idempotency_key":"é"}`,
		eventTo("news", 2),
	))
	if got := statuses(t, b); got != "202 202 202 422 422 422 413 422 422 422 413 422 202" {
		t.Fatal(got)
	}
	for i, want := range map[int]string{
		3:  "/messages/3/to/channels/1",
		4:  "/messages/4/notification/titel",
		5:  "/messages/5/notification/ttl",
		6:  "/messages/6/notification",
		7:  "/messages/7",
		8:  "/messages/8",
		9:  "/messages/9/to",
		10: "/messages/10",
		11: "/messages/11/idempotency_key",
	} {
		if p := b.Data[i].Problem; p.Errors[0].Pointer != want || p.Instance != "/v1/messages/batch" || p.RequestID == "" {
			t.Errorf("%d: %+v, want a pointer to %s", i, p, want)
		}
	}
	for i, stored := range map[int]bool{0: false, 1: true, 2: true, 12: false} {
		if m := b.Data[i].Message; m.Stored != stored || m.ID == "" {
			t.Errorf("%d: %+v", i, m)
		}
	}
	if m := get[wire.Message](t, s, "/v1/messages/"+string(b.Data[1].Message.ID)); m.Counts.Accepted != 1 || m.Counts != b.Data[1].Message.Counts {
		t.Errorf("%+v", m)
	}
	var heard []string
	for _, f := range s.Fanned() {
		heard = append(heard, f.Event.Data)
	}
	if got := strings.Join(heard, " "); got != "0 1 2" {
		t.Errorf("the sockets hear %s", got)
	}
}

// Events reach the sockets in the order of the batch, also where some wait for the disk.
func TestABatchKeepsTheOrderOfItsEvents(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	var messages []string
	for n := range 100 {
		message := eventTo("news", n)
		if n%3 == 0 {
			message = strings.Replace(message, `"event"`, `"notification":{"title":"x"},"event"`, 1)
		}
		messages = append(messages, message)
	}
	if b := postBatch(t, s, batchOf(messages...)); b.Refused != 0 || len(b.Data) != 100 {
		t.Fatalf("%+v", b)
	}
	fanned := s.Fanned()
	for i, f := range fanned {
		if f.Event.Data != fmt.Sprint(i) {
			t.Errorf("event %d is %s", i, f.Event.Data)
		}
	}
	if len(fanned) != 100 {
		t.Errorf("%d events", len(fanned))
	}
}

// A message of a batch has all that a single one has, also what proves that it was taken.
func TestAMessageOfABatchIsConfirmed(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios","user_id":"ana","tokens":[{"kind":"apns","value":"ab"}]}`), 201)
	confirmed := func(by, within string) string {
		return `{"to":{"users":["ana"]},"event":{"name":"e"},"notification":{"title":"x"},"when":"away","confirm":{"by":"` + by + `","within":` + within + `}}`
	}
	b := postBatch(t, s, batchOf(confirmed("receipt", "30"), confirmed("pong", "20"), confirmed("wink", "1"), confirmed("pong", "31"),
		`{"to":{"users":["ana"]},"notification":{"title":"x"},"confrm":{}}`))
	if got := statuses(t, b); got != "202 202 422 422 422" {
		t.Fatal(got)
	}
	for i, want := range map[int]string{2: "/messages/2/confirm/by", 3: "/messages/3/confirm/within", 4: "/messages/4/confrm"} {
		if p := b.Data[i].Problem; p.Errors[0].Pointer != want {
			t.Errorf("%+v, want a pointer to %s", p, want)
		}
	}
	if p := b.Data[4].Problem; !strings.Contains(p.Detail, `did you mean "confirm"?`) {
		t.Errorf("%s", p.Detail)
	}
	fanned := s.Fanned()
	if len(fanned) != 2 || fanned[0].Awaited == nil || fanned[1].Awaited == nil {
		t.Fatalf("%+v", fanned)
	}
	first, second := fanned[0].Awaited, fanned[1].Awaited
	if first.By != diaphone.ByReceipt || second.By != diaphone.ByPong || time.Until(first.Until) < 21*time.Second || time.Until(second.Until) > 20*time.Second {
		t.Errorf("%+v %+v", first, second)
	}
}

func TestBatchesRefused(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	many := strings.TrimSuffix(strings.Repeat(push+",", 101), ",")
	for _, r := range []refusal{
		{"no body", "", 415, "unsupported_media_type", "-", "application/json", nil},
		{"no JSON", "hello", 400, "malformed", "", "byte 0", nil},
		{"half", `{"messages":[` + push, 400, "malformed", "/messages", "too early", nil},
		{"an array", `[` + push + `]`, 422, "invalid", "", "an object", nil},
		{"no messages", `{}`, 422, "invalid", "/messages", "1 to 100 messages, this one has 0", nil},
		{"none", `{"messages":[]}`, 422, "invalid", "/messages", "1 to 100 messages, this one has 0", nil},
		{"101", `{"messages":[` + many + `]}`, 422, "invalid", "/messages", "this one has 101", nil},
		{"not a list", `{"messages":` + push + `}`, 422, "invalid", "/messages", "an array", nil},
		{"Pusher's name", `{"batch":[` + push + `]}`, 422, "invalid", "/batch", "messages", nil},
		{"field twice in a message", batchOf(`{"to":{},"to":{}}`), 400, "malformed", "/messages/0/to", "twice", nil},
		{"invalid UTF-8 in a message", batchOf("{\"when\":\"\xff\"}"), 400, "malformed", "/messages/0/when", "UTF-8", nil},
		{"too deep", batchOf(`{"event":{"data":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`), 400, "malformed", "/messages/0/event/data" + strings.Repeat("/0", 28), "32", nil},
		{"over the limit", batchOf(push) + strings.Repeat(" ", rest.MaxBatchBody), 413, "too_large", "", "2097152", nil},
		{"empty key", batchOf(push), 422, "invalid", "/Idempotency-Key", "1 to 255", []string{"Idempotency-Key: "}},
		{"two keys", batchOf(push), 422, "invalid", "/Idempotency-Key", "1 to 255", []string{"Idempotency-Key: a", "Idempotency-Key: b"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.check(t, s.Do(apitest.Token1, "POST", "/v1/messages/batch", r.body, r.headers...))
		})
	}
	refusal{"", "", 422, "invalid", "/dry_run", "there is no query parameter", nil}.check(t, s.Do(apitest.Token1, "POST", "/v1/messages/batch?dry_run=1", batchOf(push)))
	body := batchOf(strings.TrimSuffix(strings.Repeat(eventTo("c", 1)+",", 100), ","))
	if b := postBatch(t, s, body+strings.Repeat(" ", rest.MaxBatchBody-len(body))); b.Refused != 0 || len(b.Data) != 100 {
		t.Errorf("at its limits: %d results, %d refused", len(b.Data), b.Refused)
	}
}

func TestBatchIdempotency(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	keyed := func(key string, n int) string {
		return strings.Replace(eventTo("c", n), `{"to"`, `{"idempotency_key":"`+key+`","to"`, 1)
	}
	expect := func(want, body string, headers ...string) wire.Batch {
		t.Helper()
		b := postBatch(t, s, body, headers...)
		if got := statuses(t, b); got != want {
			t.Errorf("%s, want %s\n%+v", got, want, b)
		}
		return b
	}
	fanned := func(want int) {
		t.Helper()
		if n := len(s.Fanned()); n != want {
			t.Errorf("%d events went out, want %d", n, want)
		}
	}
	first := expect("202 202 202", batchOf(keyed("a", 1), keyed("b", 2), eventTo("c", 3)))
	again := expect("202r 202r 202", batchOf(keyed("b", 2), keyed("a", 1), eventTo("c", 3))) // in any order
	if first.Data[0].Message.ID != again.Data[1].Message.ID || first.Data[2].Message.ID == again.Data[2].Message.ID {
		t.Errorf("%+v, then %+v", first, again)
	}
	fanned(4)
	// Another message under the key; a key twice in a batch; another operation.
	b := expect("409 202 422", batchOf(keyed("a", 9), keyed("c", 1), keyed("c", 1)))
	if p := b.Data[2].Problem; p.Errors[0].Pointer != "/messages/2/idempotency_key" || !strings.Contains(p.Detail, "message 1") {
		t.Errorf("%+v", p)
	}
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", eventTo("c", 1), "Idempotency-Key: a"), 409)
	fanned(5)
	// The header gives keys to those without, by their place: the whole can be repeated.
	const header = "Idempotency-Key: nightly"
	bad := strings.Replace(eventTo("c", 3), `"c"`, `"a b"`, 1)
	expect("202 202 422 202", batchOf(eventTo("c", 1), eventTo("c", 1), bad, keyed("own", 4)), header)
	fanned(8)
	expect("202r 202r 202 202r", batchOf(eventTo("c", 1), eventTo("c", 1), eventTo("c", 3), keyed("own", 4)), header)
	fanned(9)
	expect("409 202r", batchOf(eventTo("c", 2), eventTo("c", 1)), header)
	expect("202", batchOf(keyed("nightly", 1)), header) // no derived key is one that somebody may give
	if a := s.Do(apitest.Token2, "POST", "/v1/messages/batch", batchOf(keyed("a", 1)), header); !strings.Contains(string(a.Body), `"refused":0`) || strings.Contains(string(a.Body), "replayed") {
		t.Errorf("app 2: %s", a.Body)
	}
}

func TestABatchAndAClosedStore(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	refusal{"", "", 503, "unavailable", "-", "shutting down", nil}.check(t, s.Do(apitest.Token1, "POST", "/v1/messages/batch", batchOf(push, push)))
	if got := statuses(t, postBatch(t, s, batchOf(push, eventTo("c", 1)))); got != "503 202" {
		t.Error(got)
	}
	if got := statuses(t, postBatch(t, s, batchOf(push, `{}`))); got != "503 422" {
		t.Error(got)
	}
}

// broken is a provider that fails at what it should never fail at.
type broken struct{ cause string }

func (b broken) Render(*diaphone.Message) (providers.Rendered, error) {
	return providers.Rendered{}, errors.New(b.cause)
}
func (broken) Send(context.Context, *diaphone.Delivery) diaphone.Outcome { return diaphone.Outcome{} }
func (broken) Probe(context.Context) providers.Finding                   { return providers.Finding{} }
func (broken) Close() error                                              { return nil }

// A fault of ours in one message is told without its cause, which stands in the log.
func TestAFaultOfOursInABatchIsLogged(t *testing.T) {
	const cause = "the pen has run dry"
	s := apitest.Start(t, apitest.Options{Providers: map[diaphone.ProviderName]providers.Provider{diaphone.APNs: broken{cause}, diaphone.FCM: broken{cause}}})
	b := postBatch(t, s, batchOf(push, eventTo("c", 1)), "X-Request-Id: batch-7")
	if got := statuses(t, b); got != "500 202" || b.Data[0].Problem.Code != "internal" || strings.Contains(b.Data[0].Problem.Detail, cause) {
		t.Errorf("%s %+v", got, b)
	}
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, cause) && strings.Contains(line, "batch-7") && strings.Contains(line, "ERROR") {
			return
		}
	}
	t.Errorf("the log does not have the cause:\n%s", s.Log())
}
