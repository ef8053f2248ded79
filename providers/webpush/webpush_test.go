package webpush

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
)

// claims verifies a VAPID header as a push service does and gives what it says.
func claims(t *testing.T, header string) (aud, sub string, exp time.Time) {
	t.Helper()
	var jwt, key string
	if _, err := fmt.Sscanf(strings.ReplaceAll(header, ",", " "), "vapid t=%s k=%s", &jwt, &key); err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), decode(t, key))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(jwt, ".")
	digest, sig := sha256.Sum256([]byte(parts[0]+"."+parts[1])), decode(t, parts[2])
	if len(sig) != 64 || !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Error("the signature is wrong")
	}
	var c struct {
		Aud, Sub string
		Exp      int64
	}
	if err := json.Unmarshal(decode(t, parts[1]), &c); err != nil {
		t.Fatal(err)
	}
	return c.Aud, c.Sub, time.Unix(c.Exp, 0)
}

func TestTokensFollowTheClock(t *testing.T) {
	p := provider(t)
	const origin = "https://updates.push.services.mozilla.com"
	for at := now; at.Before(now.Add(48 * time.Hour)); at = at.Add(37 * time.Minute) {
		h, err := p.signer.header(origin, at)
		if err != nil {
			t.Fatal(err)
		}
		again, err := p.signer.header(origin, at)
		if err != nil || again != h {
			t.Fatal("two tokens of one window differ")
		}
		aud, sub, exp := claims(t, h)
		if left := exp.Sub(at); left <= 12*time.Hour || left > 18*time.Hour || aud != origin || sub != "mailto:ops@example.com" {
			t.Errorf("at %v: %v left, for %s from %s", at, left, aud, sub)
		}
	}
	for i := range 3 * maxOrigins {
		if _, err := p.signer.header(fmt.Sprintf("https://host-%d.push.apple.com", i), now); err != nil {
			t.Fatal(err)
		}
		if n := len(p.signer.headers); n > maxOrigins {
			t.Fatalf("%d tokens are kept", n)
		}
	}
}

func TestTokensOfTwoNodesAreEqual(t *testing.T) {
	key := newKey(t)
	var headers []string
	for range 2 {
		p, err := New(config(key))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		h, err := p.signer.header("https://fcm.googleapis.com", now)
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, h)
	}
	if headers[0] != headers[1] {
		t.Error("they differ")
	}
}

func TestOrigins(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://fcm.googleapis.com/fcm/send/x":      "https://fcm.googleapis.com",
		"https://fcm.googleapis.com:443/fcm/send/x":  "https://fcm.googleapis.com",
		"https://push.example.com:8443/x":            "https://push.example.com:8443",
		"http://127.0.0.1:6002/wpush/v2/x":           "http://127.0.0.1:6002",
		"https://[2606:2800:220:1::1]:444/wpush/v2/": "https://[2606:2800:220:1::1]:444",
	} {
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := originOf(u); got != want {
			t.Errorf("%s: %s", endpoint, got)
		}
	}
}

// TestRequest: what arrives at the push service can be read by the browser.
func TestRequest(t *testing.T) {
	b, m := newBrowser(t), hello()
	p := provider(t)
	to, err := diaphone.ParseSubscription(b.subscription("https://fcm.googleapis.com/fcm/send/abc"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.rendering(m, m.AcceptedAt)
	if err != nil {
		t.Fatal(err)
	}
	const id = "0198c2a4-0000-7000-8000-000000000000"
	req, err := p.request(t.Context(), &to, r, r.payload(id), now)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, req.ContentLength)
	if _, err := req.Body.Read(body); err != nil {
		t.Fatal(err)
	}
	plain, err := b.open(body)
	if err != nil || !strings.Contains(string(plain), `"_nid":"`+id+`"`) || !strings.Contains(string(plain), `"title":"Ana"`) {
		t.Errorf("%s, %v", plain, err)
	}
	for name, want := range map[string]string{
		"Content-Encoding": "aes128gcm", "Ttl": "2419200", "Urgency": "high", "Topic": "",
	} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if aud, _, _ := claims(t, req.Header.Get("Authorization")); aud != "https://fcm.googleapis.com" {
		t.Errorf("for %s", aud)
	}
}

// TestGuarded: what no browser gives is not called, and nothing is deleted.
func TestGuarded(t *testing.T) {
	var served atomic.Int64
	v := providertest.NewVendor(t, false)
	v.Answer(func(http.ResponseWriter, *http.Request) { served.Add(1) })
	b := newBrowser(t)
	c := config(newKey(t))
	c.Guard = c.Guard.Only(Hosts()...)
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, endpoint := range []string{v.URL + "/x", "https://127.0.0.1/x", "https://example.com/x", "https://fcm.googleapis.com.evil.test/x"} {
		o := p.Send(t.Context(), providertest.Delivery(hello(), diaphone.TokenWebPush, b.subscription(endpoint).Reveal()))
		if o.Verdict != diaphone.Suspect || o.Reason != forbiddenURL || o.Err == nil || strings.Contains(o.Err.Error(), "/x") {
			t.Errorf("%s: %+v", endpoint, o)
		}
	}
	if served.Load() != 0 {
		t.Error("it was called all the same")
	}
}

func TestConfig(t *testing.T) {
	key := newKey(t)
	good := config(key)
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	raw := good
	raw.Key = diaphone.Secret("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw=\n")
	if _, err := New(raw); err != nil {
		t.Fatal(err)
	}
	const want = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
	if public, err := PublicKey(raw.Key); public != want || err != nil {
		t.Errorf("public key %s, %v", public, err)
	}
	for name, change := range map[string]func(*Config){
		"no key":            func(c *Config) { c.Key = "" },
		"a cut key":         func(c *Config) { c.Key = diaphone.Secret(key[:80]) },
		"a zero key":        func(c *Config) { c.Key = diaphone.Secret(base64.RawURLEncoding.EncodeToString(make([]byte, 32))) },
		"no subject":        func(c *Config) { c.Subject = "" },
		"a bare address":    func(c *Config) { c.Subject = "ops@example.com" },
		"mailto twice":      func(c *Config) { c.Subject = "mailto:" },
		"localhost":         func(c *Config) { c.Subject = "mailto:root@localhost" },
		"https localhost":   func(c *Config) { c.Subject = "https://localhost" },
		"a quoted subject":  func(c *Config) { c.Subject = `mailto:a"b@example.com` },
		"no page":           func(c *Config) { c.Navigate = "" },
		"a relative page":   func(c *Config) { c.Navigate = "/chat" },
		"a plain http page": func(c *Config) { c.Navigate = "http://example.com/" },
		"no guard":          func(c *Config) { c.Guard = nil },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || strings.Contains(err.Error(), c.Key.Reveal()) && c.Key != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCloseDoesNotWaitForTheTimeout: an attempt ends with its provider, at once.
func TestCloseDoesNotWaitForTheTimeout(t *testing.T) {
	s := subjectOf(t, false)
	v := providertest.NewVendor(t, false)
	arrived := make(chan struct{}, 1)
	v.Answer(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does a server notice that the client is gone
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	p := s.New(t, v)
	got := make(chan diaphone.Outcome, 1)
	go func() { got <- p.Send(context.Background(), providertest.Delivery(hello(), s.Kind, s.Token(v))) }()
	<-arrived
	begun := time.Now()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if o := <-got; o.Verdict != diaphone.Retry || o.Reason != "closed" || time.Since(begun) > attemptTimeout/2 {
		t.Errorf("after %v: %+v", time.Since(begun), o)
	}
	if o := p.Send(context.Background(), providertest.Delivery(hello(), s.Kind, s.Token(v))); o.Reason != "closed" || v.Pushes() != 1 {
		t.Errorf("%+v, %d requests", o, v.Pushes())
	}
}
