package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// A call goes to the iPhone's PushKit token and to Android as data; a browser cannot ring.
func TestSendCall(t *testing.T) {
	d := startDev(t)
	var s sent
	out, _, code := d.run("send", "user:ana", "--mode", "voip", "--data", "id=1", "--wait", "--json")
	decode(t, out, &s)
	if code != 8 || s.Message.Counts["delivered"] != 2 || s.Message.Counts["failed"] != 1 || !strings.Contains(out, "no_voip_token") {
		t.Fatalf("exit code %d: %+v", code, s)
	}
	var inbox []struct {
		Device  string
		Headers map[string]string
	}
	decode(t, d.must("sim", "inbox", "ls", "--json"), &inbox)
	for _, shown := range inbox {
		if shown.Device == "ana-iphone" && (shown.Headers["apns-push-type"] != "voip" || shown.Headers["apns-expiration"] != "0") {
			t.Errorf("%+v", shown)
		}
	}
	if len(inbox) != 2 {
		t.Errorf("%d phones ring, want 2", len(inbox))
	}
	if _, errs, code := d.run("send", "user:ana", "Ben is calling", "--mode", "voip"); code != 2 || !strings.Contains(errs, "/notification/body") {
		t.Errorf("a call with a text: exit code %d\n%s", code, errs)
	}
}

func TestSendLater(t *testing.T) {
	d := startDev(t)
	if out := d.must("send", "user:ana", "later", "--at", "+1h"); !strings.Contains(out, " scheduled for 20") {
		t.Errorf("%s", out)
	}
	begun := time.Now()
	var s sent
	decode(t, d.must("send", "user:ana", "soon", "--at", "+1500ms", "--wait", "--json"), &s)
	if took := time.Since(begun); took < 1500*time.Millisecond || s.Message.Counts["delivered"] != 3 {
		t.Errorf("after %s: %+v", took, s)
	}
	if inbox := d.must("sim", "inbox", "ls"); strings.Count(inbox, "soon") != 3 || strings.Contains(inbox, "later") {
		t.Errorf("inbox:\n%s", inbox)
	}
	for _, at := range []string{"tomorrow", "2020-01-01T00:00:00Z"} {
		if _, errs, code := d.run("send", "user:ana", "x", "--at", at); code != 2 {
			t.Errorf("--at %s: exit code %d\n%s", at, code, errs)
		}
	}
}

func TestCancel(t *testing.T) {
	d := startDev(t)
	id, _, _ := strings.Cut(d.must("send", "user:ana", "later", "--at", "+2s"), " ")
	if out := d.must("cancel", id); !strings.Contains(out, "nothing of it went out") {
		t.Errorf("%s", out)
	}
	if out := d.must("watch", id); strings.Count(out, "cancelled at") != 1 {
		t.Errorf("watch:\n%s", out)
	}
	var s sent
	decode(t, d.must("send", "user:ana", "another", "--at", "+2500ms", "--wait", "--json"), &s)
	if inbox := d.must("sim", "inbox", "ls"); strings.Contains(inbox, "later") || !strings.Contains(inbox, "another") {
		t.Errorf("inbox:\n%s", inbox)
	}
	id, _, _ = strings.Cut(d.must("send", "user:ana", "gone"), " ")
	harness.Until(t, 10*time.Second, "it has been sent", func() bool { return strings.Contains(d.must("sim", "inbox", "ls"), "gone") })
	if out, _, code := d.run("cancel", id); code != 8 || !strings.Contains(out, "0 deliveries cancelled, 3 too late") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if _, _, code := d.run("cancel", "msg_unknown"); code != 5 {
		t.Errorf("an unknown message: exit code %d", code)
	}
}

func TestSendPreview(t *testing.T) {
	d := startDev(t)
	out, errs, code := d.run("send", "user:ana", "--data", "chat=7", "--preview")
	for _, part := range []string{"apns (apns): ", " of 4096 bytes\n", "apns-push-type: background\n", `"content-available":1`, "fcm (fcm): "} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in:\n%s", part, out)
		}
	}
	if code != 0 || !strings.Contains(errs, "apns: warning: iOS lets a background push") {
		t.Errorf("exit code %d, standard error:\n%s", code, errs)
	}
	var p struct{ Notifications []struct{ Payload string } }
	decode(t, d.must("send", "user:ana", "hello", "--preview", "--json"), &p)
	if len(p.Notifications) != 3 || !strings.Contains(p.Notifications[0].Payload, `"body":"hello"`) {
		t.Errorf("%+v", p)
	}
	if inbox := d.must("sim", "inbox", "ls"); strings.Contains(inbox, "ana") {
		t.Errorf("a preview was sent:\n%s", inbox)
	}
}
