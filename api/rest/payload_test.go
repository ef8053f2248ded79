package rest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/apns"
	"github.com/diaphone-dev/diaphone/providers/fcm"
	"github.com/diaphone-dev/diaphone/providers/webpush"
)

// The real providers measure: what one of them could not carry is refused before
// anything is stored, with a byte count for each.
func TestPayloadOverTheProvidersLimits(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Providers: map[diaphone.ProviderName]providers.Provider{
		diaphone.APNs: newAPNs(t), diaphone.FCM: newFCM(t), diaphone.WebPush: newWebPush(t),
	}})
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios"}`), 201)
	send := func(notification string) (apitest.Answer, wire.Problem) {
		a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":`+notification+`}`)
		var p wire.Problem
		if a.Status >= 400 {
			a.JSON(t, &p)
		}
		return a, p
	}
	a, p := send(`{"body":"` + strings.Repeat("x", 5000) + `"}`)
	if a.Status != 413 || p.Code != "too_large" || len(p.Errors) != 3 {
		t.Fatalf("%s", a.Body)
	}
	for i, name := range []string{"APNs", "FCM", "web push"} {
		e := p.Errors[i]
		var size, limit int
		if !strings.Contains(e.Detail, name) || e.Pointer != "/notification" {
			t.Errorf("%+v", e)
		}
		at := strings.Index(e.Detail, "has ")
		if n, err := fmt.Sscanf(e.Detail[at:], "has %d bytes, the limit is %d", &size, &limit); n != 2 || size < 5000 || limit < 3990 || limit > 4096 {
			t.Errorf("%v: %s", err, e.Detail)
		}
	}
	if a, _ := send(`{"body":"` + strings.Repeat("x", 3000) + `"}`); a.Status != 202 {
		t.Errorf("%s", a.Body)
	}
	if a, p := send(`{"title":"x","apns":{"headers":{"authorization":"bearer x"}}}`); a.Status != 422 || len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Pointer, "/notification/apns/headers") {
		t.Errorf("%s", a.Body)
	}
}

func newWebPush(t *testing.T) providers.Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := webpush.New(webpush.Config{
		Key: keyPEM(t, key), Subject: "mailto:ops@example.com", Navigate: "https://example.com/", Guard: egress.New(egress.Config{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newAPNs(t *testing.T) providers.Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := apns.New(apns.Config{
		KeyPEM: keyPEM(t, key), KeyID: "ABCDEFGHIJ", TeamID: "ABCDEFGHIJ", Topic: "dev.diaphone.test",
		Environment: diaphone.Sandbox, Host: "127.0.0.1:1",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newFCM(t *testing.T) providers.Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "test", "private_key_id": "1", "private_key": keyPEM(t, key).Reveal(),
		"client_email": "test@test.iam.gserviceaccount.com", "token_uri": "http://127.0.0.1:1/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := fcm.New(fcm.Config{ServiceAccount: diaphone.Secret(account), Endpoint: "http://127.0.0.1:1/v1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func keyPEM(t *testing.T, key any) diaphone.Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return diaphone.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
