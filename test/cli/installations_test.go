package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTheDocumentOfDevices runs what docs/devices.md tells app developers to try.
func TestTheDocumentOfDevices(t *testing.T) {
	text, err := os.ReadFile("../../docs/devices.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	if script == nil {
		t.Fatal("the document has no script")
	}
	d := startDev(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", string(script[1]))
	run.Env = append(os.Environ(), fmt.Sprintf("GATEWAY=http://127.0.0.1:%d", d.port))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`"user_id":"ben"`, `"channels":["news","private-chat-7"]`, `"code":"conflict"`, "as it should be"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the script did not print %s:\n%s", want, out)
		}
	}
	if out := d.must("devices", "ls"); !strings.Contains(out, "dev_") {
		t.Errorf("devices ls:\n%s", out)
	}
}

func TestSecretsAndErasing(t *testing.T) {
	d := startDev(t)
	d.must("devices", "add", "anas", "--platform", "android", "--fcm", "token-1", "--user", "ana / ñ")
	secret := strings.TrimSpace(d.must("devices", "secret", "anas"))
	if !strings.HasPrefix(secret, "dds_") || strings.TrimSpace(d.must("devices", "secret", "anas")) == secret {
		t.Errorf("secret %q", secret)
	}
	if _, errs, code := d.run("devices", "secret", "nobodys"); code == 0 || !strings.Contains(errs, "no device") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	out, errs, code := d.run("users", "erase", "ana / ñ")
	if code != 2 || !strings.Contains(out, "anas") || !strings.Contains(errs, "give --yes") {
		t.Errorf("erase without --yes: exit code %d\n%s%s", code, out, errs)
	}
	d.must("devices", "get", "anas")
	if out := d.must("users", "erase", "ana / ñ", "--yes"); out != "ana / ñ: 1 devices deleted, 0 connections ended\n" {
		t.Errorf("erase:\n%s", out)
	}
	if _, _, code := d.run("devices", "get", "anas"); code == 0 {
		t.Error("the device is still there")
	}
	if out := d.must("users", "erase", "ana / ñ", "--yes", "--json"); !strings.Contains(out, `"devices": 0`) {
		t.Errorf("erase again:\n%s", out)
	}
}
