package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/diaphone-dev/diaphone"
)

const device = diaphone.DeviceID("dev_1")

// world is an app with a key of each algorithm, and another app that has keys of the
// same names.
type world struct {
	app, other *diaphone.App
	now        time.Time
	ed         ed25519.PrivateKey
	ec         *ecdsa.PrivateKey
	foreign    ed25519.PrivateKey
}

const secret = "a secret of more than thirty-two bytes"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)}
	var public, foreign ed25519.PublicKey
	var err1, err2, err3 error
	public, w.ed, err1 = ed25519.GenerateKey(rand.Reader)
	foreign, w.foreign, err2 = ed25519.GenerateKey(rand.Reader)
	w.ec, err3 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	w.app = &diaphone.App{ID: "1", Keys: []diaphone.Key{{Key: "off", Secret: secret, Disabled: true}, {Key: "pair", Secret: "pair-secret"}, {Key: "second", Secret: "second-secret"}},
		IdentityKeys: []diaphone.IdentityKey{
			{ID: "ed", Algorithm: diaphone.EdDSA, Public: public}, {ID: "ec", Algorithm: diaphone.ES256, Public: &w.ec.PublicKey},
			{ID: "hs", Algorithm: diaphone.HS256, Secret: secret}}}
	w.other = &diaphone.App{ID: "2", IdentityKeys: []diaphone.IdentityKey{{ID: "ed", Algorithm: diaphone.EdDSA, Public: foreign}}}
	return w
}

// good are the claims of a token that holds.
func (w *world) good() map[string]any {
	return map[string]any{"aud": "1", "sub": "ana", "iat": w.now.Unix(), "exp": w.now.Unix() + 600}
}

func (w *world) with(name string, value any) map[string]any {
	c := w.good()
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

func sign(t *testing.T, header map[string]any, claims map[string]any, m jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(m, jwt.MapClaims(claims))
	for k, v := range header {
		token.Header[k] = v
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func kid(id string) map[string]any { return map[string]any{"kid": id} }

func TestWhatHolds(t *testing.T) {
	w := newWorld(t)
	edge := w.good()
	edge["iat"], edge["exp"] = w.now.Unix()+30, w.now.Unix()+3630
	late := w.good()
	late["iat"], late["exp"] = w.now.Unix()-3600, w.now.Unix()-29
	for name, token := range map[string]string{
		"EdDSA":                 sign(t, kid("ed"), w.good(), jwt.SigningMethodEdDSA, w.ed),
		"ES256":                 sign(t, kid("ec"), w.good(), jwt.SigningMethodES256, w.ec),
		"HS256":                 sign(t, kid("hs"), w.good(), jwt.SigningMethodHS256, []byte(secret)),
		"a key of the app":      sign(t, kid("second"), w.good(), jwt.SigningMethodHS256, []byte("second-secret")),
		"no kid":                sign(t, nil, w.good(), jwt.SigningMethodHS256, []byte("pair-secret")),
		"several audiences":     sign(t, kid("ed"), w.with("aud", []string{"7", "1"}), jwt.SigningMethodEdDSA, w.ed),
		"for this device":       sign(t, kid("ed"), w.with("device", string(device)), jwt.SigningMethodEdDSA, w.ed),
		"part of a second":      sign(t, kid("ed"), w.with("iat", float64(w.now.Unix())-0.5), jwt.SigningMethodEdDSA, w.ed),
		"no device, in a word":  sign(t, kid("ed"), map[string]any{"aud": "1", "sub": "ana", "iat": w.now.Unix(), "exp": w.now.Unix() + 600, "device": nil}, jwt.SigningMethodEdDSA, w.ed),
		"claims of others":      sign(t, kid("ed"), w.with("role", "x"), jwt.SigningMethodEdDSA, w.ed),
		"an hour, clocks apart": sign(t, kid("ed"), edge, jwt.SigningMethodEdDSA, w.ed),
		"expired a moment ago":  sign(t, kid("ed"), late, jwt.SigningMethodEdDSA, w.ed),
	} {
		c, err := Verify(w.app, device, token, w.now)
		if err != nil || c.User != "ana" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	c, err := Verify(w.app, device, sign(t, kid("ed"), w.with("channels", []string{"private-a", "presence-b-*"}), jwt.SigningMethodEdDSA, w.ed), w.now)
	if err != nil || !c.IssuedAt.Equal(w.now.Truncate(time.Second)) || len(c.Channels) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhatDoesNotHold(t *testing.T) {
	w := newWorld(t)
	ed := func(claims map[string]any) string { return sign(t, kid("ed"), claims, jwt.SigningMethodEdDSA, w.ed) }
	good := ed(w.good())
	parts := strings.Split(good, ".")
	encode := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	der, err := x509.MarshalPKIXPublicKey(w.ed.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, c := range map[string]struct {
		token  string
		reason Reason
	}{
		"nothing":                         {"", Malformed},
		"no token":                        {"x", Malformed},
		"two parts":                       {parts[0] + "." + parts[1], Malformed},
		"four parts":                      {good + ".x", Malformed},
		"padding":                         {good + "=", Malformed},
		"a blank":                         {" " + good, Malformed},
		"too long":                        {ed(w.with("x", strings.Repeat("x", MaxBytes))), TooLong},
		"only dots":                       {strings.Repeat(".", MaxBytes), Malformed},
		"no signature":                    {parts[0] + "." + parts[1] + ".", Unsigned},
		"none":                            {encode(map[string]any{"alg": "none", "kid": "ed"}) + "." + parts[1] + ".", Unsigned},
		"None, signed":                    {encode(map[string]any{"alg": "NONE", "kid": "ed"}) + "." + parts[1] + "." + parts[2], Unsigned},
		"other claims":                    {parts[0] + "." + encode(w.with("sub", "ben")) + "." + parts[2], Unsigned},
		"another app's key of the name":   {sign(t, kid("ed"), w.good(), jwt.SigningMethodEdDSA, w.foreign), Unsigned},
		"unknown key":                     {sign(t, kid("nobody"), w.good(), jwt.SigningMethodEdDSA, w.ed), UnknownKey},
		"disabled key":                    {sign(t, kid("off"), w.good(), jwt.SigningMethodHS256, []byte(secret)), UnknownKey},
		"a number for kid":                {sign(t, map[string]any{"kid": 7}, w.good(), jwt.SigningMethodEdDSA, w.ed), Malformed},
		"critical extensions":             {sign(t, map[string]any{"kid": "ed", "crit": []string{"x"}}, w.good(), jwt.SigningMethodEdDSA, w.ed), Malformed},
		"no kid, another key":             {sign(t, nil, w.good(), jwt.SigningMethodHS256, []byte("second-secret")), Unsigned},
		"HS256 with the public key":       {sign(t, kid("ed"), w.good(), jwt.SigningMethodHS256, public), Unsigned},
		"HS256 with the raw key":          {sign(t, kid("ed"), w.good(), jwt.SigningMethodHS256, []byte(w.app.IdentityKeys[0].Public.(ed25519.PublicKey))), Unsigned},
		"HS512 with the secret":           {sign(t, kid("hs"), w.good(), jwt.SigningMethodHS512, []byte(secret)), Unsigned},
		"ES256 named for EdDSA":           {sign(t, kid("ed"), w.good(), jwt.SigningMethodES256, w.ec), Unsigned},
		"EdDSA named for ES256":           {sign(t, kid("ec"), w.good(), jwt.SigningMethodEdDSA, w.ed), Unsigned},
		"the empty secret":                {sign(t, kid("ec"), w.good(), jwt.SigningMethodHS256, []byte("")), Unsigned},
		"expired":                         {ed(map[string]any{"aud": "1", "sub": "ana", "iat": w.now.Unix() - 700, "exp": w.now.Unix() - 30}), Expired},
		"from tomorrow":                   {ed(map[string]any{"aud": "1", "sub": "ana", "iat": w.now.Unix() + 32, "exp": w.now.Unix() + 60}), Early},
		"not before":                      {ed(w.with("nbf", w.now.Unix()+100)), Early},
		"for more than an hour":           {ed(w.with("exp", w.now.Unix()+3601)), TooGood},
		"for ever":                        {ed(w.with("exp", nil)), TooGood},
		"of no time":                      {ed(w.with("iat", nil)), TooGood},
		"over before it began":            {ed(w.with("exp", w.now.Unix())), TooGood},
		"for another app":                 {ed(w.with("aud", "2")), OtherApp},
		"for no app":                      {ed(w.with("aud", nil)), OtherApp},
		"for nobody":                      {ed(w.with("sub", nil)), BadSubject},
		"a user that cannot be":           {ed(w.with("sub", "a\nb")), BadSubject},
		"a long user":                     {ed(w.with("sub", strings.Repeat("x", 129))), BadSubject},
		"a number for the user":           {ed(w.with("sub", 7)), BadClaims},
		"for another device":              {ed(w.with("device", "dev_2")), OtherDevice},
		"a list of devices":               {ed(w.with("device", []string{string(device)})), BadClaims},
		"text for channels":               {ed(w.with("channels", "private-a")), BadClaims},
		"a list of other things":          {ed(w.with("channels", []any{"private-a", 7})), BadClaims},
		"a number for the app":            {ed(w.with("aud", 1)), BadClaims},
		"numbers for apps":                {ed(w.with("aud", []any{"1", 1})), BadClaims},
		"text for the time of issue":      {ed(w.with("iat", "1790000000")), BadClaims},
		"text for a beginning":            {ed(w.with("nbf", "now")), BadClaims},
		"types that nobody has signed":    {sign(t, kid("ed"), w.with("aud", 1), jwt.SigningMethodEdDSA, w.foreign), Unsigned},
		"a name in capitals":              {ed(map[string]any{"aud": "1", "SUB": "ana", "iat": w.now.Unix(), "exp": w.now.Unix() + 600}), BadSubject},
		"text for times":                  {ed(w.with("exp", "tomorrow")), BadClaims},
		"for another app, and of its key": {sign(t, kid("ed"), w.with("aud", "2"), jwt.SigningMethodEdDSA, w.foreign), Unsigned},
	} {
		_, err := Verify(w.app, device, c.token, w.now)
		var reason Reason
		var e *diaphone.Error
		if !errors.As(err, &reason) || reason != c.reason || !errors.As(err, &e) || e.Code != diaphone.Forbidden || e.Fields[0].Pointer != "/token" {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
			continue
		}
		// Of what is not signed nothing is told but that.
		unproved := c.reason == TooLong || c.reason == Malformed || c.reason == UnknownKey || c.reason == Unsigned
		if unproved != (e.Fields[0].Code == "not_signed") || unproved && e.Detail != "the token is not signed by a key of the app" {
			t.Errorf("%s: told %q, %q", name, e.Fields[0].Code, e.Detail)
		}
		if c.token != "" && len(c.token) > 20 && strings.Contains(err.Error(), c.token[:20]) {
			t.Errorf("%s: the error has the token", name)
		}
	}
	if _, err := Verify(w.other, device, good, w.now); err == nil {
		t.Error("another app takes it")
	}
	if _, err := Verify(&diaphone.App{ID: "1"}, device, sign(t, nil, w.good(), jwt.SigningMethodHS256, []byte("")), w.now); err == nil {
		t.Error("an app without keys takes what the empty secret has signed")
	}
}

// Whose claim is of the wrong type hears which, and what belongs there.
func TestClaimsOfTheWrongType(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		value  any
		wanted string
	}{
		"aud": {1, "a string, or a list of strings"}, "sub": {5, "a string"}, "device": {true, "a string"}, "channels": {"private-x", "a list of strings"},
		"iat": {"now", "a number, of seconds since 1970"}, "exp": {[]int{1}, "a number, of seconds since 1970"}, "nbf": {map[string]int{}, "a number, of seconds since 1970"},
	} {
		_, err := Verify(w.app, device, sign(t, kid("ed"), w.with(name, c.value), jwt.SigningMethodEdDSA, w.ed), w.now)
		var e *diaphone.Error
		if !errors.As(err, &e) || e.Fields[0].Code != "token_claims" || e.Detail != "the claim "+name+" has to be "+c.wanted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpens(t *testing.T) {
	c := Claims{Channels: []string{"private-a", "presence-b-*", "#server-to-user-*", "private-x*y"}}
	for channel, want := range map[diaphone.ChannelName]bool{
		"private-a": true, "private-ab": false, "private-": false, "presence-b-": true, "presence-b-7": true, "presence-b": false,
		"#server-to-user-ana": false, "private-x*y": true, "private-xzy": false, "private-xy": false,
	} {
		if got := c.Opens(channel); got != want {
			t.Errorf("%s: %t, want %t", channel, got, want)
		}
	}
	all := Claims{Channels: []string{"*"}}
	if !all.Opens("private-a") || all.Opens("#server-to-user-ana") {
		t.Error("* opens all channels but a user's own")
	}
	none := Claims{Channels: []string{""}}
	if none.Opens("private-a") {
		t.Error("nothing opens something")
	}
}

func FuzzVerify(f *testing.F) {
	app := &diaphone.App{ID: "1", Keys: []diaphone.Key{{Key: "pair", Secret: "pair-secret"}}}
	f.Add("e30.e30.")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.")
	f.Add("eyJhbGciOiJIUzI1NiIsImtpZCI6InBhaXIifQ.eyJzdWIiOiJhbmEifQ.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := Verify(app, device, token, time.Unix(1, 0)); err == nil {
			t.Errorf("%q holds", token)
		}
	})
}
