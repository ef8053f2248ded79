package sim_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/sim"
)

const jwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

type serviceAccount struct {
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

func (b *lab) account() (serviceAccount, *rsa.PrivateKey) {
	b.t.Helper()
	text, err := os.ReadFile(b.cred.ServiceAccountFile)
	must(b.t, err)
	var a serviceAccount
	must(b.t, json.Unmarshal(text, &a))
	block, _ := pem.Decode([]byte(a.PrivateKey))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(b.t, err)
	return a, key.(*rsa.PrivateKey)
}

func signRS256(t testing.TB, key *rsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	text := b64(header) + "." + b64(claims)
	digest := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	must(t, err)
	return text + "." + b64(sig)
}

// assertion returns the parts of a good one.
func (b *lab) assertion() (header, claims map[string]any, key *rsa.PrivateKey) {
	b.t.Helper()
	a, key := b.account()
	now := time.Now().Unix()
	header = map[string]any{"alg": "RS256", "typ": "JWT", "kid": a.PrivateKeyID}
	claims = map[string]any{
		"iss": a.ClientEmail, "aud": a.TokenURI, "iat": now, "exp": now + 3600,
		"scope": "https://www.googleapis.com/auth/firebase.messaging",
	}
	return header, claims, key
}

type grant struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	TokenType   string `json:"token_type"`
	Error       string
	Description string `json:"error_description"`
}

func (b *lab) grant(grantType, assertion string) (int, grant) {
	b.t.Helper()
	a, _ := b.account()
	res, err := b.http.PostForm(a.TokenURI, url.Values{"grant_type": {grantType}, "assertion": {assertion}})
	must(b.t, err)
	var g grant
	must(b.t, json.Unmarshal([]byte(readAll(b.t, res)), &g))
	return res.StatusCode, g
}

// access returns an access token, got the way a client does.
func (b *lab) access() string {
	b.t.Helper()
	header, claims, key := b.assertion()
	status, g := b.grant(jwtGrant, signRS256(b.t, key, header, claims))
	if status != http.StatusOK || g.TokenType != "Bearer" || g.ExpiresIn != 3599 {
		b.t.Fatalf("%d %+v", status, g)
	}
	return g.AccessToken
}

func TestOAuth(t *testing.T) {
	b := start(t, sim.Options{})
	header, claims, key := b.assertion()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	now := time.Now().Unix()
	with := func(m map[string]any, changes ...any) map[string]any {
		m = maps.Clone(m)
		for i := 0; i < len(changes); i += 2 {
			m[changes[i].(string)] = changes[i+1]
		}
		return m
	}
	good := signRS256(t, key, header, claims)
	tests := []struct {
		name, grantType, assertion string
		wrong                      string
	}{
		{"good", jwtGrant, good, ""},
		{"cloud-platform scope", jwtGrant, signRS256(t, key, header, with(claims, "scope", "email https://www.googleapis.com/auth/cloud-platform")), ""},
		{"no kid", jwtGrant, signRS256(t, key, map[string]any{"alg": "RS256"}, claims), ""},
		{"grant type", "password", good, "unsupported_grant_type"},
		{"no assertion", jwtGrant, "", "invalid_request"},
		{"garbage", jwtGrant, "a.b.c", "invalid_grant"},
		{"another key", jwtGrant, signRS256(t, other, header, claims), "invalid_grant"},
		{"signature cut", jwtGrant, good[:len(good)-4], "invalid_grant"},
		{"alg none", jwtGrant, b64(with(header, "alg", "none")) + "." + b64(claims) + ".", "invalid_grant"},
		{"kid", jwtGrant, signRS256(t, key, with(header, "kid", "x"), claims), "invalid_grant"},
		{"iss", jwtGrant, signRS256(t, key, header, with(claims, "iss", "x@example.com")), "invalid_grant"},
		{"aud", jwtGrant, signRS256(t, key, header, with(claims, "aud", "http://example.com/token")), "invalid_grant"},
		{"scope", jwtGrant, signRS256(t, key, header, with(claims, "scope", "email")), "invalid_scope"},
		{"two hours", jwtGrant, signRS256(t, key, header, with(claims, "exp", now+7200)), "invalid_grant"},
		{"expired", jwtGrant, signRS256(t, key, header, with(claims, "iat", now-7200, "exp", now-3600)), "invalid_grant"},
		{"of tomorrow", jwtGrant, signRS256(t, key, header, with(claims, "iat", now+86400, "exp", now+86400+3600)), "invalid_grant"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t)
			status, g := b.grant(test.grantType, test.assertion)
			if g.Error != test.wrong || (status == http.StatusOK) != (test.wrong == "") {
				t.Errorf("got %d %+v, want %q", status, g, test.wrong)
			}
			if (g.AccessToken != "") != (test.wrong == "") {
				t.Errorf("access token %q", g.AccessToken)
			}
			if test.wrong != "" && strings.Contains(g.Description, "eyJ") {
				t.Errorf("the description repeats the assertion: %q", g.Description)
			}
		})
	}
}
