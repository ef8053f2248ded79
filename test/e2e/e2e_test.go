// Package e2e shows what the product does from end to end: a built gateway, the
// simulators, and what the phones were sent.
package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// deliveries gives all deliveries of a message.
func deliveries(t *testing.T, w *harness.World, id diaphone.MessageID) []wire.Delivery {
	t.Helper()
	var all []wire.Delivery
	for d, err := range w.Client.AllDeliveries(context.Background(), id) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// TestRetryAfterOfTheProvider: 503 with Retry-After three times, then accepted:
// delivered at the fourth attempt, and the API tells when each was made.
func TestRetryAfterOfTheProvider(t *testing.T) {
	for provider, platform := range map[string]diaphone.Platform{"apns": diaphone.IOS, "fcm": diaphone.Android} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel() // it mostly waits
			w := harness.NewWorld(t, nil)
			w.AddPhones(1, platform, "phone", "news")
			reason := map[string]string{"apns": "ServiceUnavailable", "fcm": "UNAVAILABLE"}[provider]
			w.SimCall(http.MethodPut, "/sim/faults", map[string]any{"provider": provider, "status": 503, "reason": reason, "retry_after": 2, "count": 3}, nil)
			m := w.Await(w.Send("news", "hello"), 40*time.Second)
			d := deliveries(t, w, m.ID)[0]
			if d.State != diaphone.Delivered || len(d.Attempts) != 4 {
				t.Fatalf("%+v, want delivered at the fourth attempt", d)
			}
			for i, a := range d.Attempts {
				t.Logf("attempt %d at %s: %d %s %s", i+1, a.At.Format("15:04:05.000"), a.Status, a.Verdict, a.Reason)
				if i == 0 {
					continue
				}
				// Not before the two seconds; later only by the jitter of the third try.
				if gap := a.At.Sub(d.Attempts[i-1].At.Time); gap < 2*time.Second || gap > 5*time.Second {
					t.Errorf("attempt %d came %s after the one before", i+1, gap)
				}
				if before := d.Attempts[i-1]; before.Status != 503 || before.Verdict != diaphone.Retry || before.Reason != reason {
					t.Errorf("attempt %d: %+v, want 503 %s", i, before, reason)
				}
			}
		})
	}
}

// TestALimitedLane never shows the provider more than 5 % above its limit in any
// second, and uses what it has.
func TestALimitedLane(t *testing.T) {
	for provider, platform := range map[string]diaphone.Platform{"apns": diaphone.IOS, "fcm": diaphone.Android} {
		t.Run(provider, func(t *testing.T) {
			const rate, devices = 100, 500
			w := harness.NewWorld(t, harness.Limited(provider, fmt.Sprintf("rate: %d", rate)))
			w.AddPhones(devices, platform, "phone", "news")
			m := w.Await(w.Send("news", "hello"), time.Minute)
			inbox := w.Inbox()
			if len(inbox) != devices || m.Counts.Delivered != devices {
				t.Fatalf("%d notifications arrived, counts %+v", len(inbox), m.Counts)
			}
			slices.SortFunc(inbox, func(a, b harness.Shown) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
			most := 0
			for i, j := 0, 0; j < len(inbox); j++ {
				for inbox[j].ReceivedAt.Sub(inbox[i].ReceivedAt) >= time.Second {
					i++
				}
				most = max(most, j-i+1)
			}
			took := inbox[devices-1].ReceivedAt.Sub(inbox[0].ReceivedAt)
			t.Logf("at most %d within any second; %.1f a second over %s", most, devices/took.Seconds(), took.Round(time.Millisecond))
			if most > rate*105/100 {
				t.Errorf("%d within one second, the limit is %d", most, rate)
			}
		})
	}
}

// TestARefusedCredential pauses its lane and touches no device; the other lane
// goes on.
func TestARefusedCredential(t *testing.T) {
	w := harness.NewWorld(t, nil)
	w.AddPhones(20, diaphone.IOS, "ios", "news")
	w.AddPhones(20, diaphone.Android, "android", "news")
	w.SimCall(http.MethodPut, "/sim/faults", map[string]any{"provider": "apns", "status": 403, "reason": "InvalidProviderToken"}, nil)
	id := w.Send("news", "hello")
	harness.Until(t, 20*time.Second, "the android phones have it", func() bool {
		m, err := w.Client.Message(context.Background(), id)
		return err == nil && m.Counts.Delivered == 20
	})
	m, err := w.Client.Message(context.Background(), id)
	if err != nil || m.Counts.Pending != 20 {
		t.Errorf("counts %+v, %v: want 20 pending", m.Counts, err)
	}
	harness.Until(t, 10*time.Second, "the pause is in the log", func() bool {
		return strings.Contains(w.Gateway.Stderr(), "lane is paused") && strings.Contains(w.Gateway.Stderr(), "InvalidProviderToken")
	})
	page := 0
	for d, err := range w.Client.AllDevices(context.Background(), "") {
		if err != nil || len(d.Tokens) != 1 {
			t.Fatalf("device %+v, %v: want it untouched", d, err)
		}
		page++
	}
	if page != 40 {
		t.Errorf("%d devices, want 40", page)
	}
	// The operator mends it and starts again: nothing was lost.
	w.SimCall(http.MethodDelete, "/sim/faults", nil, nil)
	if code := w.Gateway.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.StartGateway()
	if m := w.Await(id, 45*time.Second); m.Counts.Delivered != 40 { // some wait for the end of the pause
		t.Errorf("counts %+v, want 40 delivered", m.Counts)
	}
}

// TestAnUninstalledApp: the token is gone, the device stays, and a new
// registration makes it reachable again.
func TestAnUninstalledApp(t *testing.T) {
	w := harness.NewWorld(t, nil)
	w.AddPhones(1, diaphone.IOS, "ios", "news")
	w.AddPhones(1, diaphone.Android, "android", "news")
	w.AddPhones(1, diaphone.Web, "web", "news")
	for _, name := range []string{"ios-0", "android-0", "web-0"} {
		w.SimCall(http.MethodPatch, "/sim/devices/"+name, map[string]string{"state": "uninstalled"}, nil)
	}
	m := w.Await(w.Send("news", "hello"), 20*time.Second)
	if m.Counts.Failed != 3 {
		t.Fatalf("counts %+v, want 3 failed", m.Counts)
	}
	for d, err := range w.Client.AllDevices(context.Background(), "") {
		if err != nil || d.Tokens[0].State != wire.TokenGone || len(d.Channels) != 1 {
			t.Errorf("device %+v, %v: want its token gone, and it there", d, err)
		}
	}
	for _, name := range []string{"ios-0", "android-0", "web-0"} {
		w.SimCall(http.MethodPatch, "/sim/devices/"+name, map[string]string{"state": "online"}, nil)
	}
	w.AddPhones(1, diaphone.IOS, "ios", "news") // registers again
	w.AddPhones(1, diaphone.Android, "android", "news")
	w.AddPhones(1, diaphone.Web, "web", "news")
	if m := w.Await(w.Send("news", "hello again"), 20*time.Second); m.Counts.Delivered != 3 {
		t.Errorf("counts %+v, want 3 delivered", m.Counts)
	}
}

// TestLiveOrPhone: a message of both halves spares the phone of a user whose socket
// has taken it, and reaches it once the socket is gone.
func TestLiveOrPhone(t *testing.T) {
	w := harness.NewWorld(t, nil)
	w.AddPhones(1, diaphone.Android, "phone", "news")
	ctx := context.Background()
	device, err := w.Client.Device(ctx, "phone-0")
	if err != nil {
		t.Fatal(err)
	}
	var phone struct{ Data []harness.Phone }
	w.SimCall(http.MethodGet, "/sim/devices", nil, &phone)
	_, err = w.Client.PutDevice(ctx, device.ID, wire.NewDevice{Platform: diaphone.Android, UserID: "ana", Channels: []diaphone.ChannelName{"presence-room"},
		Tokens: []wire.NewToken{{Kind: diaphone.TokenFCM, Value: phone.Data[0].Token}}})
	if err != nil {
		t.Fatal(err)
	}
	send := func(when diaphone.When) wire.Message {
		t.Helper()
		p, err := w.Client.Publish(ctx, wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"presence-room"}}, When: when,
			Notification: &diaphone.Notification{Title: "hello"}, Event: &wire.Event{Name: "hello", Data: []byte(`{}`)}}, "")
		if err != nil {
			t.Fatal(err)
		}
		return w.Await(p.ID, 20*time.Second)
	}
	if m := send(""); m.Counts.Delivered != 1 || m.When != diaphone.Away {
		t.Errorf("without a socket: counts %+v, want 1 delivered", m.Counts)
	}
	t.Setenv("DIAPHONE_SERVER", w.URL)
	socket := harness.Start(t, "listen", "presence-room", "--user", "ana")
	harness.Until(t, 10*time.Second, "ana is present", func() bool { return strings.Contains(socket.Stderr(), "listening") })
	if m := send(diaphone.Away); m.Counts.Suppressed != 1 {
		t.Errorf("with a socket, away: counts %+v, want 1 suppressed", m.Counts)
	}
	if m := send(diaphone.Always); m.Counts.Delivered != 1 {
		t.Errorf("with a socket, always: counts %+v, want 1 delivered", m.Counts)
	}
	// Scheduled, it is asked when it goes out who is live.
	at := time.Now().Add(1500 * time.Millisecond)
	p, err := w.Client.Publish(ctx, wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"presence-room"}}, SendAt: wire.At(at),
		Notification: &diaphone.Notification{Title: "later"}, Event: &wire.Event{Name: "later", Data: []byte(`{}`)}}, "")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := w.Client.Message(ctx, p.ID); err != nil || m.State != diaphone.Scheduled || strings.Contains(socket.Stdout(), "later") {
		t.Errorf("scheduled: %+v, %v", m, err)
	}
	if m := w.Await(p.ID, 20*time.Second); m.Counts.Suppressed != 1 || m.FinishedAt.Before(at.Truncate(time.Millisecond)) || strings.Count(socket.Stdout(), "later") != 1 {
		t.Errorf("scheduled, with a socket: %+v, heard\n%s", m, socket.Stdout())
	}
	socket.Kill()
	harness.Until(t, 10*time.Second, "the phone has it again", func() bool { return send(diaphone.Away).Counts.Delivered == 1 })
}

// TestAStopLosesNothing: SIGTERM in the middle of a broadcast finishes what is
// under way; after the next start nothing is missing and nothing came twice.
func TestAStopLosesNothing(t *testing.T) {
	const devices = 2000
	w := harness.NewWorld(t, harness.Limited("fcm", "rate: 250"))
	w.AddPhones(devices, diaphone.Android, "phone", "news")
	id := w.Send("news", "hello")
	harness.Until(t, 20*time.Second, "some phones have it", func() bool {
		var stats map[string]struct{ Accepted int }
		w.SimCall(http.MethodGet, "/sim/stats", nil, &stats)
		return stats["fcm"].Accepted > 200
	})
	if code := w.Gateway.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit code %d\n%s", code, w.Gateway.Stderr())
	}
	if n := len(w.Inbox()); n >= devices {
		t.Fatalf("all %d were sent before the stop", n)
	}
	w.StartGateway()
	if m := w.Await(id, 30*time.Second); m.Counts.Delivered != devices {
		t.Errorf("counts %+v, want %d delivered", m.Counts, devices)
	}
	if n := len(w.Inbox()); n != devices {
		t.Errorf("%d notifications arrived, want %d: none twice", n, devices)
	}
}
