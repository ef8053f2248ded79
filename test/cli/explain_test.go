package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

// A support person asks why the phones of a user rang, or did not.
func TestExplain(t *testing.T) {
	d := startDev(t)
	var s struct {
		Message struct {
			ID string `json:"id"`
		} `json:"message"`
	}
	decode(t, d.must("send", "user:ana", "hello", "--wait", "--json"), &s)
	out := d.must("explain", s.Message.ID, "user:ana")
	for _, want := range []string{"In short (delivered):", "What to do: ", "Accepted at 20", "To user ana; ", "Not live now.",
		"The device ana-iphone (ios):", "Token apns-voip ", "Attempt at 20", "over fcm: 200 after ", "Outcome (delivered):"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out = d.must("explain", s.Message.ID, "device:ben-pixel")
	if !strings.Contains(out, "In short (not_in_audience):") && !strings.Contains(out, "In short (device_unknown):") {
		t.Errorf("%s", out)
	}
	var x struct {
		Because struct{ Code string }
		Devices []json.RawMessage
	}
	decode(t, d.must("explain", s.Message.ID, "user:ana", "--json"), &x)
	if x.Because.Code != "delivered" || len(x.Devices) != 3 {
		t.Errorf("%+v", x)
	}
	out, errs, code := d.run("explain", "msg_06f3k9q2v8c7h0a1b2c3d4e5f6", "user:ana")
	if code != 5 || !strings.Contains(out, "message_unknown") || !strings.Contains(out, "kept for 7 days") {
		t.Errorf("an unknown message: exit code %d\n%s%s", code, out, errs)
	}
	for _, who := range []string{"ana", "channel:news", "user:"} {
		if _, errs, code := d.run("explain", s.Message.ID, who); code != 2 {
			t.Errorf("%s: exit code %d\n%s", who, code, errs)
		}
	}
}
