package apns

import (
	"crypto/elliptic"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

func TestConformance(t *testing.T) {
	key := newKey(t)
	providertest.Run(t, subject(append(strings.Split(strings.TrimSpace(key), "\n")[1:3], "CANARYKEY1", "CANARYTEAM"), Config{
		KeyPEM: diaphone.Secret(key), KeyID: "CANARYKEY1", TeamID: "CANARYTEAM", Topic: "com.example.chat",
	}))
}

func TestConformanceWithACertificate(t *testing.T) {
	idle, err := sim.New(t.TempDir(), sim.Options{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	text := (&lab{sim: idle}).issue(t, sim.Issue{BundleID: "com.example.chat"})
	_, key, _ := strings.Cut(text, "PRIVATE KEY-----\n")
	s := subject(strings.Split(key, "\n")[:2], Config{Certificate: diaphone.Secret(text)})
	s.Mute = true
	providertest.Run(t, s)
}

// subject is a provider with one kind of credential.
func subject(secrets []string, c Config) providertest.Subject {
	return providertest.Subject{
		TLS:    true,
		Kind:   diaphone.TokenAPNs,
		Token:  func(*providertest.Vendor) string { return "c0ffee" + strings.Repeat("5ca1ab1e", 7) + "0d" },
		Secret: secrets,
		Accept: func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Apns-Id", r.Header.Get("Apns-Id")) },
		Gone: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"reason":"Unregistered","timestamp":1700000000123}`)
		},
		New: func(t testing.TB, v *providertest.Vendor) providers.Provider {
			t.Helper()
			c.Environment, c.Host, c.RootCAs = diaphone.Sandbox, v.URL, v.Roots
			p, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Probes: probes(),
	}
}

// newKey makes the content of a .p8 file.
func newKey(t testing.TB) string {
	t.Helper()
	return keyOn(t, elliptic.P256())
}
