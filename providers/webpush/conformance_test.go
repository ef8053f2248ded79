package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/providertest"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const secretPath = "/wpush/v2/cAnArY-endpoint-" + "Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9Ab_9"

func TestConformance(t *testing.T) {
	for name, tls := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) { providertest.Run(t, subjectOf(t, tls)) })
	}
}

func subjectOf(t *testing.T, tls bool) providertest.Subject {
	t.Helper()
	key, b := newKey(t), newBrowser(t)
	return providertest.Subject{
		TLS:        tls,
		Kind:       diaphone.TokenWebPush,
		Token:      func(v *providertest.Vendor) string { return b.subscription(v.URL + secretPath).Reveal() },
		Secret:     append(strings.Split(strings.TrimSpace(key), "\n")[1:3], secretPath[len("/wpush/v2/"):]),
		Accept:     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
		Gone:       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) },
		AcceptedBy: []int{200, 201, 202},
		GoneBy:     []int{404, 410},
		Nameless:   true,
		New: func(t testing.TB, v *providertest.Vendor) providers.Provider {
			t.Helper()
			c := config(key)
			c.Guard = egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: v.Roots})
			p, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	}
}

func newKey(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func config(key string) Config {
	return Config{
		Key: diaphone.Secret(key), Subject: "mailto:ops@example.com", Navigate: "https://example.com/",
		Guard: egress.New(egress.Config{}),
	}
}

func provider(t testing.TB) *Provider {
	t.Helper()
	p, err := New(config(newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func hello() *diaphone.Message { return providertest.Hello() }
