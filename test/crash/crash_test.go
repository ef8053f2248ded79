// Package crash kills gateways and looks for what they have lost.
package crash

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

const (
	phones  = 10_000 // half of them on APNs, half on FCM
	channel = diaphone.ChannelName("news")
)

// TestKilledInTheMiddleOfABroadcast is the promise: at whatever moment the
// gateway is killed, every device gets the notification after the next start,
// and no more are duplicated than were in flight.
func TestKilledInTheMiddleOfABroadcast(t *testing.T) {
	w, id := killInTheMiddle(t)
	w.StartGateway()
	m := w.Await(id, 2*time.Minute)
	if m.Counts.Accepted != phones || m.Counts.Delivered != phones {
		t.Errorf("counts %+v, want %d delivered", m.Counts, phones)
	}
	missing, duplicates := audit(w.Inbox())
	const inFlight = 2 * diaphone.DefaultConcurrency
	t.Logf("%d devices: %d missing, %d duplicates (at most %d were in flight)", phones, missing, duplicates, inFlight)
	if missing > 0 {
		t.Errorf("%d devices never got it", missing)
	}
	if duplicates > inFlight {
		t.Errorf("%d duplicates, at most %d were in flight", duplicates, inFlight)
	}
}

// TestTheAuditNoticesALoss is the negative control: a gateway that loses its
// disk between the kill and the start must not pass for one that kept it.
func TestTheAuditNoticesALoss(t *testing.T) {
	w, _ := killInTheMiddle(t)
	if err := os.Remove(filepath.Join(w.DataDir(), "diaphone.db")); err != nil {
		t.Fatal(err)
	}
	w.StartGateway()
	missing, _ := audit(w.Inbox())
	t.Logf("without its disk: %d missing", missing)
	if missing == 0 {
		t.Error("the audit finds nothing missing although the store is gone")
	}
}

// killInTheMiddle begins a broadcast and kills the gateway when a good part of
// the phones have it.
func killInTheMiddle(t *testing.T) (*harness.World, diaphone.MessageID) {
	w := harness.NewWorld(t, nil)
	w.AddPhones(phones/2, diaphone.IOS, "ios", channel)
	w.AddPhones(phones/2, diaphone.Android, "android", channel)
	// As far away as a provider is; otherwise all is over before the kill.
	w.SimCall(http.MethodPut, "/sim/faults", []map[string]any{
		{"provider": "apns", "latency_ms": 50}, {"provider": "fcm", "latency_ms": 50}}, nil)
	id := w.Send(channel, "hello")
	harness.Until(t, time.Minute, "a third of the phones have it", func() bool { return received(w) > phones/3 })
	w.Gateway.Kill()
	seen := received(w)
	t.Logf("killed after %d of %d", seen, phones)
	if seen >= phones {
		t.Fatal("the broadcast was over before the kill")
	}
	return w, id
}

func received(w *harness.World) int {
	var stats map[string]struct{ Accepted int }
	w.SimCall(http.MethodGet, "/sim/stats", nil, &stats)
	return stats["apns"].Accepted + stats["fcm"].Accepted
}

// audit counts devices that were shown nothing, and notifications too many. It
// tells notifications apart by the id that every attempt of a delivery carries.
func audit(inbox []harness.Shown) (missing, duplicates int) {
	got := make(map[string]int)
	ids := make(map[string]string)
	for _, n := range inbox {
		got[n.Device]++
		var payload struct {
			ID      string `json:"_nid"`
			Message struct {
				Data struct {
					ID string `json:"_nid"`
				}
			}
		}
		_ = json.Unmarshal(n.Payload, &payload) // an odd payload has no id and is counted below
		id := payload.ID + payload.Message.Data.ID
		if first, seen := ids[n.Device]; seen && first != id || id == "" {
			duplicates += phones // a second attempt under another id: apps could not tell
		}
		ids[n.Device] = id
	}
	for _, n := range got {
		duplicates += n - 1
	}
	return phones - len(got), duplicates
}
