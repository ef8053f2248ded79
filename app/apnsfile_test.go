package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// authority is a folder with credentials of a simulator, which is not running.
func authority(t *testing.T) (dir string, s *sim.Sim) {
	t.Helper()
	dir = t.TempDir()
	s, err := sim.New(dir, sim.Options{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesOfAnApp(t *testing.T) {
	dir, s := authority(t)
	end := time.Now().Add(10 * 24 * time.Hour)
	text, err := s.Certify(sim.Issue{BundleID: "com.example.chat", Environments: []phone.Environment{phone.Production}, NotBefore: time.Now().Add(-time.Hour), NotAfter: end})
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, _ := strings.Cut(string(text), "-----BEGIN PRIVATE KEY-----")
	put(t, filepath.Join(dir, "both.pem"), string(text))
	put(t, filepath.Join(dir, "aps.pem"), strings.TrimSpace(certificate))
	put(t, filepath.Join(dir, "aps-key.pem"), "-----BEGIN PRIVATE KEY-----"+key)
	path := filepath.Join(dir, "tenants.yaml")
	read := func(apns string) (*Tenants, error) {
		put(t, path, "apps:\n  - id: \"1\"\n    apns:\n      - "+apns+"\n")
		return LoadApps(path, egress.New(egress.Config{}))
	}
	for _, entry := range []string{
		`{ certificate_file: both.pem }`,
		`{ certificate_file: aps.pem, certificate_key_file: aps-key.pem, topic: com.example.chat, environment: production }`,
	} {
		tenants, err := read(entry)
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			continue
		}
		lane := diaphone.Lane{App: "1", Credential: "apns"}
		if got := tenants.expires[lane]; tenants.Providers[lane] == nil || got.Unix() != end.Unix() {
			t.Errorf("%s: expires %v", entry, got)
		}
		if err := tenants.Close(); err != nil {
			t.Error(err)
		}
	}
	for entry, says := range map[string]string{
		`{ certificate_file: aps.pem }`:                                                                                          "no private key",
		`{ certificate_file: none.p12 }`:                                                                                         "certificate_file",
		`{ certificate_file: both.pem, certificate_key_file: none.pem }`:                                                         "certificate_key_file",
		`{ certificate_file: both.pem, topic: com.example.other }`:                                                               "is for com.example.chat",
		`{ certificate_file: both.pem, environment: sandbox }`:                                                                   "not for the environment sandbox",
		`{ certificate_file: both.pem, team_id: SIMTEAM001 }`:                                                                    "a key and a certificate",
		`{ certificate_file: both.pem, key_file: AuthKey_SIMKEY0001.p8, team_id: SIMTEAM001 }`:                                   "a key and a certificate",
		`{ key_file: AuthKey_SIMKEY0001.p8, team_id: SIMTEAM001, topic: com.example.chat, certificate_password: CANARY }`:        "certificate_file: missing",
		`{ key_file: AuthKey_SIMKEY0001.p8, team_id: SIMTEAM001, topic: com.example.chat, certificate_key_file: CANARY-KEY.pem}`: "certificate_file: missing",
	} {
		if _, err := read(entry); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

func TestTheLogWarnsOfExpiry(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	for left, says := range map[time.Duration]string{-day: "level=ERROR", 29 * day: "level=WARN", 31 * day: ""} {
		var log bytes.Buffer
		lane := diaphone.Lane{App: "1", Credential: "apns"}
		(&Tenants{expires: map[diaphone.Lane]time.Time{lane: now.Add(left)}}).warnOfExpiry(slog.New(slog.NewTextHandler(&log, nil)), now)
		if got := log.String(); !strings.Contains(got, says) || (got == "") != (says == "") || says != "" && !strings.Contains(got, "lane=1/apns") {
			t.Errorf("%s left: %q", left, got)
		}
	}
}
