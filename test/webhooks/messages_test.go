package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// The secrets of the standard webhook, both in force.
const whsecs = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyCDGBKInavdOK15jsl"

// newStandardWorld is a gateway whose app has a standard webhook.
func newStandardWorld(t *testing.T, end *endpoint) *harness.World {
	t.Helper()
	return harness.NewWorld(t, func(apps string) string {
		hook := fmt.Sprintf("    webhooks:\n      - {name: w, url: %q, format: standard, secrets: [%s]}\n", end.url(), whsecs)
		return strings.Replace(apps, "    tokens:\n", hook+"    tokens:\n", 1)
	})
}

// standardEvent is a request as the SDK reads it.
type standardEvent struct {
	Valid     bool
	Why       string
	Type      diaphone.NoticeKind
	Timestamp time.Time
	Seq       uint64
	Data      struct {
		ID          diaphone.MessageID
		MessageID   diaphone.MessageID `json:"message_id"`
		State       diaphone.MessageState
		Counts      wire.Counts
		DeviceID    string `json:"device_id"`
		UserID      string `json:"user_id"`
		Kind        string
		Fingerprint string
		Reason      string
		Credential  string
		Provider    string
	}
	id string // webhook-id
}

// checkStandard has the unmodified npm package standardwebhooks check what has arrived.
func checkStandard(t *testing.T, requests []request) (events []standardEvent) {
	t.Helper()
	if err := json.Unmarshal(runNode(t, "check-standard.mjs", requests, "SECRETS="+whsecs), &events); err != nil {
		t.Fatal(err)
	}
	for i := range events {
		events[i].id = requests[i].Headers["webhook-id"]
	}
	return events
}

// What is told of messages, as the SDK reads it.
func TestMessagesAreTold(t *testing.T) {
	t.Parallel()
	end := newEndpoint(t)
	end.up()
	w := newStandardWorld(t, end)
	w.AddPhones(3, diaphone.Android, "phone", "news")
	w.SimCall(http.MethodPatch, "/sim/devices/phone-1", map[string]string{"state": "uninstalled"}, nil)
	id := w.Send("news", "hello")
	p, err := w.Client.Publish(t.Context(), wire.NewMessage{To: wire.Audience{Users: []diaphone.UserID{"nobody"}}, Notification: &diaphone.Notification{Body: "x"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	harness.Until(t, patience, "all is told", func() bool { return len(end.taken()) >= 4 })
	told := map[diaphone.NoticeKind][]standardEvent{}
	requests := end.taken()
	for i, e := range checkStandard(t, requests) {
		if age := time.Since(e.Timestamp); !e.Valid || age < 0 || age > time.Minute {
			t.Errorf("%+v, %s old, of %s", e, age, requests[i].RawBody)
		}
		told[e.Type] = append(told[e.Type], e)
	}
	dead, lost, finished := told[diaphone.TokenDead], told[diaphone.UserUnreachable], told[diaphone.MessageFinished]
	if len(dead) != 1 || len(lost) != 1 || len(finished) != 2 {
		t.Fatalf("told %+v", told)
	}
	if d := dead[0].Data; d.DeviceID != "phone-1" || d.Kind != "fcm" || d.Reason != "UNREGISTERED" || len(d.Fingerprint) != 8 {
		t.Errorf("the dead token: %+v", d)
	}
	if d := lost[0].Data; d.UserID != "nobody" || d.MessageID != p.ID || d.Reason != "no_devices" {
		t.Errorf("who cannot be reached: %+v", d)
	}
	for _, e := range finished {
		if d := e.Data; d.State != diaphone.Finished || d.ID == id && d.Counts != (wire.Counts{Accepted: 3, Delivered: 2, Failed: 1}) || d.ID == p.ID && d.Counts != (wire.Counts{}) {
			t.Errorf("finished: %+v", d)
		}
	}
	forged := slices.Clone(requests[:1])
	forged[0].RawBody += " "
	if e := checkStandard(t, forged); e[0].Valid {
		t.Error("the SDK takes a body that was changed")
	}
	if text := w.Gateway.Stderr(); strings.Contains(text, "geheim") || strings.Contains(text, "whsec_") {
		t.Errorf("a secret is in the log: %s", text)
	}
}

// kills is how often the gateway is killed; more at leisure.
func kills() int {
	if os.Getenv("DIAPHONE_TEST_DOWNTIME") != "" {
		return 10
	}
	return 3
}

// TestFinishedIsToldOnce is the promise: whenever the gateway is killed, each message that
// it has accepted is told as finished, and under one id only.
func TestFinishedIsToldOnce(t *testing.T) {
	t.Parallel()
	end := newEndpoint(t) // down at first
	w := newStandardWorld(t, end)
	w.AddPhones(10, diaphone.Android, "phone", "news")
	var mu sync.Mutex
	accepted := map[diaphone.MessageID]bool{}
	for round := range kills() {
		ctx, cancel := context.WithCancel(t.Context())
		var publishers sync.WaitGroup
		before := len(accepted)
		for range 8 {
			publishers.Go(func() {
				for ctx.Err() == nil {
					p, err := w.Client.Publish(ctx, wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"news"}}, Notification: &diaphone.Notification{Body: "x"}}, "")
					if err != nil {
						return
					}
					mu.Lock()
					accepted[p.ID] = true
					mu.Unlock()
				}
			})
		}
		harness.Until(t, patience, "messages are accepted", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(accepted) >= before+100
		})
		w.Gateway.Kill()
		cancel()
		publishers.Wait()
		if round == 1 {
			end.up() // so that some kills fall between the answer and the note of it
		}
		w.StartGateway()
	}
	told := func() (ids map[diaphone.MessageID]map[string]bool, requests []request) {
		ids = map[diaphone.MessageID]map[string]bool{}
		requests = end.taken()
		for _, r := range requests {
			var e standardEvent
			if err := json.Unmarshal([]byte(r.RawBody), &e); err != nil {
				t.Fatal(err)
			}
			if e.Type == diaphone.MessageFinished {
				if ids[e.Data.ID] == nil {
					ids[e.Data.ID] = map[string]bool{}
				}
				ids[e.Data.ID][r.Headers["webhook-id"]] = true
			}
		}
		return ids, requests
	}
	missing := func() (n int) {
		ids, _ := told()
		for id := range accepted {
			if len(ids[id]) == 0 {
				n++
			}
		}
		return n
	}
	harness.Until(t, 2*time.Minute, "every accepted message is told as finished", func() bool { return missing() == 0 })
	ids, requests := told()
	for id, names := range ids {
		if len(names) != 1 {
			t.Errorf("%s was told as finished under the ids %v", id, names)
		}
		if m, err := w.Client.Message(t.Context(), id); err != nil || m.State != diaphone.Finished {
			t.Errorf("%s was told as finished, and is %+v, %v", id, m, err)
		}
	}
	t.Logf("%d messages accepted around %d kills, %d told as finished in %d requests", len(accepted), kills(), len(ids), len(requests))
}
