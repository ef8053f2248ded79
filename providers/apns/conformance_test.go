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
)

func TestConformance(t *testing.T) {
	key := newKey(t)
	providertest.Run(t, providertest.Subject{
		TLS:    true,
		Kind:   diaphone.TokenAPNs,
		Token:  func(*providertest.Vendor) string { return "c0ffee" + strings.Repeat("5ca1ab1e", 7) + "0d" },
		Secret: append(strings.Split(strings.TrimSpace(key), "\n")[1:3], "CANARYKEY1", "CANARYTEAM"),
		Accept: func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Apns-Id", r.Header.Get("Apns-Id")) },
		Gone: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"reason":"Unregistered","timestamp":1700000000123}`)
		},
		New: func(t testing.TB, v *providertest.Vendor) providers.Provider {
			t.Helper()
			p, err := New(Config{
				KeyPEM: diaphone.Secret(key), KeyID: "CANARYKEY1", TeamID: "CANARYTEAM", Topic: "com.example.chat",
				Environment: diaphone.Sandbox, Host: v.URL, RootCAs: v.Roots,
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	})
}

// newKey makes the content of a .p8 file.
func newKey(t testing.TB) string {
	t.Helper()
	return keyOn(t, elliptic.P256())
}
