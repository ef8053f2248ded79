package fcm

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/providertest"
)

func TestConformance(t *testing.T) {
	for name, tls := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) { providertest.Run(t, subjectOf(tls)) })
	}
}

// unregistered is Google's answer for a dead token.
const unregistered = `{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND",
	"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`

func subjectOf(tls bool) providertest.Subject {
	lines := strings.Split(strings.TrimSpace(newKey()), "\n")
	return providertest.Subject{
		TLS:    tls,
		Kind:   diaphone.TokenFCM,
		Token:  func(*providertest.Vendor) string { return "cAnArY-registration:APA91b" + strings.Repeat("Ab_9", 30) },
		Secret: append(lines[1:len(lines)-1], "canary-key-id-0123456789", "canary@canary.iam.gserviceaccount.com"),
		Accept: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"name":"projects/canary/messages/0:1700000000123456%0123456789abcdef"}`)
		},
		Gone: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, unregistered)
		},
		New: func(t testing.TB, v *providertest.Vendor) providers.Provider {
			t.Helper()
			p, err := New(Config{ServiceAccount: accountFor(v.URL + "/token"), Endpoint: v.URL + "/v1", RootCAs: v.Roots})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Probes: probes(),
		Leaks:  []goleak.Option{goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start")},
	}
}

// newKey makes an RSA key, once: it takes a while.
var newKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

// accountFor makes the content of a service-account file.
func accountFor(tokenURI string) diaphone.Secret {
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "canary", "private_key_id": "canary-key-id-0123456789",
		"private_key": newKey(), "client_email": "canary@canary.iam.gserviceaccount.com", "token_uri": tokenURI,
	})
	if err != nil {
		panic(err)
	}
	return diaphone.Secret(text)
}
