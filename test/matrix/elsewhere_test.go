package matrix

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// A user has two phones, and the push to one of them has to be tried again. If the other
// one reports that the message was opened there, it is not; if it says nothing, or
// something else, it is.
func TestAnotherDeviceHasIt(t *testing.T) {
	world := harness.NewWorld(t, nil)
	for name, c := range map[string]struct {
		reports diaphone.ReceiptKind
		when    diaphone.When
		phone   verdict
	}{
		"opened":             {diaphone.ReceiptOpened, diaphone.Away, never},
		"displayed":          {diaphone.ReceiptDisplayed, diaphone.Away, never},
		"dismissed":          {diaphone.ReceiptDismissed, diaphone.Away, atOnce},
		"nothing":            {"", diaphone.Away, atOnce},
		"opened, but always": {diaphone.ReceiptOpened, diaphone.Always, atOnce},
	} {
		t.Run(name, func(t *testing.T) {
			w := world.For(t)
			user := strings.NewReplacer(" ", "-", ",", "").Replace(name)
			tablet := diaphone.DeviceID("tablet-" + user)
			secret := twoPhones(t, w, diaphone.UserID(user))
			w.SimCall(http.MethodPut, "/sim/faults", map[string]any{"provider": "apns", "status": 503}, nil)
			p, err := w.Client.Publish(t.Context(), wire.NewMessage{To: wire.Audience{Users: []diaphone.UserID{diaphone.UserID(user)}},
				When: c.when, Notification: &diaphone.Notification{Title: "hello"}}, "")
			if err != nil {
				t.Fatal(err)
			}
			harness.Until(t, patience, "one has it, the other waits", func() bool {
				all := deliveries(t, w, p.ID)
				return all[tablet].State == diaphone.Pending && len(all[tablet].Attempts) > 0 && shown(w, "mobile-"+user) == 1
			})
			if c.reports != "" {
				says(t, w, secret, p.ID, c.reports)
			}
			w.SimCall(http.MethodDelete, "/sim/faults", nil, nil)
			w.Await(p.ID, 2*patience)
			got := deliveries(t, w, p.ID)[tablet]
			t.Logf("%s (%s) after %d attempts", got.State, got.Reason, len(got.Attempts))
			if c.phone == never {
				if got.State != diaphone.Suppressed || got.Reason != "taken_elsewhere" || shown(w, string(tablet)) != 0 {
					t.Errorf("%s (%s), want it suppressed", got.State, got.Reason)
				}
			} else if got.State != diaphone.Delivered || shown(w, string(tablet)) != 1 {
				t.Errorf("%s (%s), want it delivered", got.State, got.Reason)
			}
		})
	}
}

// shown is how much a phone has been sent.
func shown(w *harness.World, phone string) (n int) {
	for _, s := range w.Inbox() {
		if s.Device == phone {
			n++
		}
	}
	return n
}

// twoPhones are a user's: an installation on Android, whose secret it gives, and a tablet
// of Apple's.
func twoPhones(t *testing.T, w *harness.World, user diaphone.UserID) (secret string) {
	t.Helper()
	var added struct{ Data []harness.Phone }
	w.SimCall(http.MethodPost, "/sim/devices", []harness.Phone{{Name: "mobile-" + string(user), Platform: "android"}, {Name: "tablet-" + string(user), Platform: "ios"}}, &added)
	mobile := wire.NewDevice{Platform: diaphone.Android, Tokens: []wire.NewToken{{Kind: diaphone.TokenFCM, Value: added.Data[0].Token}}}
	var e wire.Enrolled
	call(t, w, "", "/v1/apps/app-key/devices", mobile, &e)
	mobile.UserID = user
	if _, err := w.Client.PutDevice(t.Context(), e.Device.ID, mobile); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Client.PutDevice(t.Context(), diaphone.DeviceID("tablet-"+user), wire.NewDevice{Platform: diaphone.IOS, UserID: user,
		Tokens: []wire.NewToken{{Kind: diaphone.TokenAPNs, Value: added.Data[1].Token}}}); err != nil {
		t.Fatal(err)
	}
	return e.Secret
}

func says(t *testing.T, w *harness.World, secret string, id diaphone.MessageID, kind diaphone.ReceiptKind) {
	t.Helper()
	var out wire.Reported
	call(t, w, secret, "/v1/device/receipts", wire.NewReceipts{Receipts: []wire.NewReceipt{{MessageID: id, Kind: kind, At: wire.At(time.Now())}}}, &out)
	if len(out.Results) != 1 || out.Results[0].Result != "kept" {
		t.Fatalf("%+v", out)
	}
}

func deliveries(t *testing.T, w *harness.World, id diaphone.MessageID) map[diaphone.DeviceID]wire.Delivery {
	t.Helper()
	all := map[diaphone.DeviceID]wire.Delivery{}
	for d, err := range w.Client.AllDeliveries(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		all[d.DeviceID] = d
	}
	return all
}

// call is what an installation says to the gateway.
func call(t *testing.T, w *harness.World, secret, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	h := &http.Client{Timeout: patience}
	defer h.CloseIdleConnections()
	resp, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %d %s, %v", path, resp.StatusCode, text, err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
}
