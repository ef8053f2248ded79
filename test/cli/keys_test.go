package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// TestVAPIDKeys: a key is made once, and kept.
func TestVAPIDKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vapid.pem")
	first, errs, code := harness.RunWith(t, nil, "keys", "vapid", "--out", file)
	if code != 0 || len(strings.TrimSpace(first)) != 87 {
		t.Fatalf("exit code %d, %q\n%s", code, first, errs)
	}
	if again, _, _ := harness.RunWith(t, nil, "keys", "vapid", "--out", file); again != first {
		t.Errorf("%q, then %q", first, again)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if out, _, code := harness.RunWith(t, nil, "keys", "vapid", "--out", "-"); code != 0 || !strings.Contains(out, "PRIVATE KEY") {
		t.Errorf("exit code %d, %q", code, out)
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := harness.RunWith(t, nil, "keys", "vapid", "--out", file); code != 3 || !strings.Contains(errs, file+" is empty: remove it") {
		t.Errorf("an empty file: exit code %d\n%s", code, errs)
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := harness.RunWith(t, nil, "keys", "vapid", "--out", file); code != 3 || strings.Contains(errs, "no key") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}
