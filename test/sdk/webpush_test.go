package sdk

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone/sim/phone"
)

// rawKey gives a VAPID key as npm packages want it.
func rawKey(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestSimWebPushWithWebPush(t *testing.T) {
	s, port := startSim(t)
	cred := s.Credentials()
	subscription := func(name, vapidKey string, state phone.State) string {
		secret := addPhone(t, s, phone.Spec{Name: name, Platform: phone.Web, VAPIDKey: vapidKey}, state)
		p, err := s.Phones().Named(name)
		if err != nil {
			t.Fatal(err)
		}
		p256dh, auth := p.Browser.Keys()
		text, _ := json.Marshal(map[string]any{
			"endpoint": "https://127.0.0.1:" + port + "/wpush/v2/" + secret,
			"keys":     map[string]string{"p256dh": p256dh, "auth": auth},
		})
		return string(text)
	}
	devices := map[string]string{
		"accepted":    subscription("ana", cred.VAPIDPublicKey, phone.Online),
		"uninstalled": subscription("bob", cred.VAPIDPublicKey, phone.Uninstalled),
		"another key": subscription("eve", strings.Repeat("B", 87), phone.Online),
	}
	var got map[string]struct {
		Sent   bool
		Status int
		Body   string
	}
	runScript(t, "sim_webpush.mjs", devices, &got,
		"NODE_EXTRA_CA_CERTS="+cred.CAFile, "VAPID_PUBLIC="+cred.VAPIDPublicKey, "VAPID_PRIVATE="+rawKey(t, cred.VAPIDKeyFile))
	if r := got["accepted"]; !r.Sent || r.Status != 201 {
		t.Errorf("accepted: %+v", r)
	}
	if r := got["uninstalled"]; r.Sent || r.Status != 410 || !strings.Contains(r.Body, `"errno":106`) {
		t.Errorf("uninstalled: %+v", r)
	}
	if r := got["another key"]; r.Sent || r.Status != 401 || !strings.Contains(r.Body, "mismatch") {
		t.Errorf("another key: %+v", r)
	}
	inbox := s.Phones().Inbox().Newest("", 10)
	if len(inbox) != 1 || inbox[0].Device != "ana" || !strings.Contains(string(inbox[0].Payload), `"body":"hé"`) {
		t.Errorf("inbox: %+v", inbox)
	}
}
