package diaphone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

const (
	goodPoint = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" // of RFC 8291
	goodAuth  = "BTBZMqHH6r4Tts7J_aSIgg"
)

func TestSubscriptions(t *testing.T) {
	const endpoint = "https://updates.push.services.mozilla.com/wpush/v2/gAAAAAB.x_y-z?a=b"
	for _, padding := range []string{"", "=", "=="} {
		token := diaphone.SubscriptionToken(endpoint, goodPoint+padding, goodAuth+padding)
		s, err := diaphone.ParseSubscription(token)
		if err != nil || s.Endpoint != endpoint || len(s.Key) != 65 || len(s.Auth) != 16 {
			t.Errorf("%q: %+v, %v", padding, s, err)
		}
		if e, p, a := diaphone.SubscriptionText(token); e != endpoint || p != goodPoint || a != goodAuth {
			t.Errorf("%s, %s, %s", e, p, a)
		}
	}
}

func TestSubscriptionFaults(t *testing.T) {
	const at = "/tokens/0/subscription"
	good := "https://example.com/x"
	for name, c := range map[string]struct{ endpoint, point, auth, pointer string }{
		"no endpoint":      {"", goodPoint, goodAuth, at + "/endpoint"},
		"no URL":           {"example.com", goodPoint, goodAuth, at + "/endpoint"},
		"other scheme":     {"ftp://example.com", goodPoint, goodAuth, at + "/endpoint"},
		"too long":         {"https://example.com/" + strings.Repeat("x", 2048), goodPoint, goodAuth, at + "/endpoint"},
		"fragment":         {"https://example.com/#x", goodPoint, goodAuth, at + "/endpoint"},
		"space":            {"https://example.com/ x", goodPoint, goodAuth, at + "/endpoint"},
		"line":             {"https://example.com/\r\nx: y", goodPoint, goodAuth, at + "/endpoint"},
		"not ASCII":        {"https://exämple.com/", goodPoint, goodAuth, at + "/endpoint"},
		"no point":         {good, "", goodAuth, at + "/keys/p256dh"},
		"standard base64":  {good, strings.ReplaceAll(goodPoint, "_", "/"), goodAuth, at + "/keys/p256dh"},
		"off the curve":    {good, goodPoint[:80] + "AAAAAAA", goodAuth, at + "/keys/p256dh"},
		"short point":      {good, goodPoint[:84], goodAuth, at + "/keys/p256dh"},
		"no auth":          {good, goodPoint, "", at + "/keys/auth"},
		"15 bytes of auth": {good, goodPoint, goodAuth[:20], at + "/keys/auth"},
		"auth with a dot":  {good, goodPoint, goodAuth + ".x", at + "/keys/auth"},
	} {
		d := diaphone.Device{App: "1", ID: "browser", Platform: diaphone.Web, Tokens: []diaphone.Token{
			{Kind: diaphone.TokenWebPush, Value: diaphone.SubscriptionToken(c.endpoint, c.point, c.auth)}}}
		var e *diaphone.Error
		if err := d.Validate(); !errors.As(err, &e) || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := diaphone.Device{App: "1", ID: "browser", Platform: diaphone.Web, Tokens: []diaphone.Token{
		{Kind: diaphone.TokenWebPush, Value: diaphone.SubscriptionToken(good, goodPoint, goodAuth)}}}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzSubscription(f *testing.F) {
	f.Add("https://example.com/x#" + goodPoint + "." + goodAuth)
	f.Add("#.")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := diaphone.ParseSubscription(diaphone.Secret(text))
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats it: %v", err)
		}
		if err == nil {
			e, p, a := diaphone.SubscriptionText(diaphone.Secret(text))
			if diaphone.SubscriptionToken(e, p, a).Reveal() != text {
				t.Errorf("%q does not come back", text)
			}
		}
	})
}
