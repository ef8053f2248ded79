package cli

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// TestASendTellsWhatWasPlanned, at once and with how many it is for.
func TestASendTellsWhatWasPlanned(t *testing.T) {
	d := startDev(t)
	d.must("devices", "add", "bare", "--platform", "ios")
	for _, c := range []struct {
		to, says string
		code     int
	}{
		{"user:ana", "accepted: 3 deliveries", 0},
		{"device:ana-iphone", "accepted: 1 delivery", 0},
		{"device:bare", "accepted: 1 delivery, 1 failed at once", 0},
		{"user:nobody", "accepted: 0 deliveries", 5},
	} {
		out, errs, code := d.run("send", c.to, "hello")
		line := regexp.MustCompile(`\A[0-9a-zA-Z_-]+ ` + c.says + `\n\z`)
		if code != c.code || !line.MatchString(out) || strings.Contains(errs, "nobody: "+c.to) != (c.code == 5) {
			t.Errorf("send %s: exit code %d\n%s%s", c.to, code, out, errs)
		}
	}
	out, errs, code := d.run("send", "device:bare", "hello", "--wait")
	id, _, _ := strings.Cut(errs, " accepted; waiting")
	if code != 8 || !strings.Contains(out, "no_token") {
		t.Errorf("send --wait: exit code %d\n%s%s", code, out, errs)
	}
	if out, errs, code := d.run("watch", id); code != 8 || !strings.Contains(out, "1 failed") || !strings.Contains(errs, "1 of 1 deliveries failed") {
		t.Errorf("watch: exit code %d\n%s%s", code, out, errs)
	}
	var published struct{ Counts map[string]int }
	out, errs, code = d.run("send", "user:nobody", "hello", "--json")
	if json.Unmarshal([]byte(out), &published) != nil || published.Counts["accepted"] != 0 || code != 5 || !strings.Contains(errs, "nobody") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// TestASendThatWaitsTooShort counts what it prints.
func TestASendThatWaitsTooShort(t *testing.T) {
	d := startDev(t)
	d.must("sim", "faults", "set", "apns", "--reason", "hang")
	for _, timeout := range []string{"1ns", "300ms"} { // before the first answer, and after it
		out, errs, code := d.run("send", "device:ana-iphone", "hello", "--wait", "--timeout", timeout)
		if code != 7 || !strings.Contains(errs, "1 of 1 deliveries are still pending after "+timeout) || strings.Count(out, "pending") != 1 {
			t.Errorf("--timeout %s: exit code %d\n%s%s", timeout, code, out, errs)
		}
	}
}
