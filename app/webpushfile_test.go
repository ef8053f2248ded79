package app

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
)

func TestWebPushOfAnApp(t *testing.T) {
	dir := t.TempDir()
	const key = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw" // of RFC 8291
	if err := os.WriteFile(filepath.Join(dir, "vapid.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "apps.yaml")
	read := func(webpush string) (*Tenants, error) {
		if err := os.WriteFile(path, []byte("apps:\n  - id: \"1\"\n    webpush:\n      - "+webpush+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadApps(path, egress.New(egress.Config{}))
	}
	tenants, err := read(`{ key_file: vapid.key, subject: "mailto:ops@example.com", navigate: https://example.com/, rate: 7 }`)
	if err != nil {
		t.Fatal(err)
	}
	defer tenants.Close()
	want := diaphone.Credential{Name: "webpush", Provider: diaphone.WebPush, Rate: 7}
	if got := tenants.Apps[0].Credentials; len(got) != 1 || got[0] != want || tenants.Providers[diaphone.Lane{App: "1", Credential: "webpush"}] == nil {
		t.Errorf("%+v", got)
	}
	for entry, says := range map[string]string{
		`{ subject: "mailto:ops@example.com", navigate: https://example.com/ }`:                               "apps[0].webpush[0].key_file: missing",
		`{ key_file: apps.yaml, subject: "mailto:ops@example.com", navigate: https://example.com/ }`:          "diaphone keys vapid",
		`{ key_file: vapid.key, subject: ops@example.com, navigate: https://example.com/ }`:                   "mailto:",
		`{ key_file: vapid.key, subject: "mailto:ops@example.com" }`:                                          "navigate",
		`{ key_file: vapid.key, subject: "mailto:ops@example.com", navigate: https://example.com/, host: x }`: "unknown field",
	} {
		if _, err := read(entry); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

func TestPushHosts(t *testing.T) {
	good := Config{Listen: "127.0.0.1:0", StopWithin: time.Second, Retention: 24 * time.Hour, PushHosts: []string{"push.example.com", "localhost", "127.0.0.2", "fd00::1"},
		EgressAllowCidr: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, h := range []string{"", "https://push.example.com", "push.example.com:8443", "*.example.com", ".example.com", "Push.example.com", "[::1]", "::1%lo", "0:0:0:0:0:0:0:1", "127.0.0.1:6002"} {
		bad := good
		bad.PushHosts = []string{h}
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "--push-hosts") {
			t.Errorf("%q: %v", h, err)
		}
	}
	guard := good.pushServices(good.Egress(nil))
	for endpoint, ok := range map[string]bool{
		"https://push.example.com/x": true, "https://updates.push.services.mozilla.com/x": true, "https://web.push.apple.com/x": true,
		"https://fcm.googleapis.com/fcm/send/x": true, "https://wns2-par02p.notify.windows.com/w/?token=x": true, "https://example.com/x": false,
		"http://127.0.0.2:6002/x": true, "http://localhost:6002/x": true, "http://127.0.0.1:6002/x": false, "http://10.1.2.3/x": false, "https://10.1.2.3/x": false,
	} {
		if err := guard.Check(endpoint); (err == nil) != ok {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
