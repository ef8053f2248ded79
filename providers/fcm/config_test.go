package fcm

import (
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestBadConfigurationIsNamedNotQuoted(t *testing.T) {
	const canary = "CANARY"
	good := string(accountFor("https://oauth2.googleapis.com/token"))
	for name, c := range map[string]struct {
		account, field string
	}{
		"no JSON":         {canary, "JSON"},
		"another type":    {strings.Replace(good, "service_account", canary, 1), "type"},
		"no project":      {strings.Replace(good, `"project_id":"canary"`, `"x":"CANARY"`, 1), "project_id"},
		"a path":          {strings.Replace(good, `"project_id":"canary"`, `"project_id":"CANARY/../x"`, 1), "project_id"},
		"no key":          {strings.Replace(good, "-----BEGIN PRIVATE KEY-----", canary, 1), "private_key"},
		"no key id":       {strings.Replace(good, `"private_key_id":"canary-key-id-0123456789"`, `"x":"CANARY"`, 1), "private_key_id"},
		"no email":        {strings.Replace(good, "client_email", canary, 1), "client_email"},
		"bad token URI":   {strings.Replace(good, "https://oauth2", "ftp://CANARY", 1), "token_uri"},
		"user in the URI": {strings.Replace(good, "https://oauth2", "https://CANARY:pw@oauth2", 1), "token_uri"},
	} {
		_, err := New(Config{ServiceAccount: diaphone.Secret(c.account)})
		if err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v, want %q in it", name, err, c.field)
			continue
		}
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), strings.Split(newKey(), "\n")[1]) {
			t.Errorf("%s: content came out: %v", name, err)
		}
	}
	for _, c := range []Config{
		{ServiceAccount: diaphone.Secret(good), Endpoint: "fcm.googleapis.com"},
		{ServiceAccount: diaphone.Secret(good), Connections: -1},
	} {
		if _, err := New(c); err == nil {
			t.Error("accepted")
		}
	}
	p, err := New(Config{ServiceAccount: diaphone.Secret(good)})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
}
