package fcm

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Limits of Google's page "Using OAuth 2.0 for Server to Server Applications".
const (
	grantType      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	maxAssertion   = time.Hour
	accessLifetime = 3599 * time.Second
	clockSkew      = time.Minute
	maxForm        = 64 << 10
)

// Account is the public side of a service account.
type Account struct {
	Email    string
	KeyID    string
	Public   *rsa.PublicKey
	TokenURI string // where the assertion must be meant for
}

// oauthError is an error of the token endpoint (RFC 6749 section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Token returns the OAuth token endpoint: it trades a signed assertion for an
// access token (RFC 7523).
func (s *Server) Token() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if why := s.checkGrant(r, time.Now()); why != nil {
			writeJSON(w, http.StatusBadRequest, why)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"access_token": s.issue(time.Now().Add(accessLifetime)),
			"expires_in":   int(accessLifetime.Seconds()),
			"token_type":   "Bearer",
		})
	})
}

func (s *Server) checkGrant(r *http.Request, now time.Time) *oauthError {
	if err := r.ParseForm(); err != nil {
		return &oauthError{"invalid_request", "Bad Request"}
	}
	if got := r.PostForm.Get("grant_type"); got != grantType {
		return &oauthError{"unsupported_grant_type", "Invalid grant_type: " + got}
	}
	assertion := r.PostForm.Get("assertion")
	if assertion == "" {
		return &oauthError{"invalid_request", "Missing required parameter: assertion"}
	}
	return s.checkAssertion(assertion, now)
}

type assertionClaims struct {
	Issuer   string  `json:"iss"`
	Scope    string  `json:"scope"`
	Audience string  `json:"aud"`
	Issued   float64 `json:"iat"`
	Expires  float64 `json:"exp"`
}

func (s *Server) checkAssertion(assertion string, now time.Time) *oauthError {
	parts := strings.Split(assertion, ".")
	var header struct{ Alg, Kid string }
	var claims assertionClaims
	if len(parts) != 3 || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) {
		return &oauthError{"invalid_grant", "Invalid JWT: Malformed assertion."}
	}
	// A kid is optional: Google tries all keys of the account without one, and
	// google-auth-library for Node sends none.
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	switch {
	case claims.Issuer != s.account.Email:
		return &oauthError{"invalid_grant", "Invalid grant: account not found"}
	case header.Alg != "RS256" || header.Kid != "" && header.Kid != s.account.KeyID || err != nil ||
		rsa.VerifyPKCS1v15(s.account.Public, crypto.SHA256, digest[:], sig) != nil:
		return &oauthError{"invalid_grant", "Invalid JWT Signature."}
	case !slices.Contains(s.audiences, claims.Audience):
		return &oauthError{"invalid_grant", "Invalid JWT: Failed audience check. The right audience is " + s.account.TokenURI}
	case !timely(claims, now):
		return &oauthError{"invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}
	case !mayMessage(claims.Scope):
		return &oauthError{"invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	}
	return nil
}

func decodePart(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}

func timely(c assertionClaims, now time.Time) bool {
	at := float64(now.Unix())
	return c.Issued <= at+clockSkew.Seconds() && c.Expires > at-clockSkew.Seconds() &&
		c.Expires > c.Issued && c.Expires <= c.Issued+maxAssertion.Seconds()
}

// mayMessage accepts the two scopes that FCM documents for sending.
func mayMessage(scopes string) bool {
	given := strings.Fields(scopes)
	return slices.Contains(given, "https://www.googleapis.com/auth/firebase.messaging") ||
		slices.Contains(given, "https://www.googleapis.com/auth/cloud-platform")
}

// googleAudiences are token endpoints of Google's that client libraries have
// built in, whatever the service-account file says.
func googleAudiences() []string {
	return []string{
		"https://oauth2.googleapis.com/token",
		"https://www.googleapis.com/oauth2/v4/token",
		"https://accounts.google.com/o/oauth2/token",
	}
}

const accessPrefix = "ya29.c." // as Google's look

// issue returns an access token. It carries its own proof, so that nothing has to
// be remembered and a simulator started again honours it, as Google would.
func (s *Server) issue(expires time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(expires.Unix()))
	rand.Read(b[8:]) //nolint:errcheck // never fails since Go 1.24
	return accessPrefix + base64.RawURLEncoding.EncodeToString(append(b[:], s.seal(b[:])...))
}

func (s *Server) seal(b []byte) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write(b)
	return mac.Sum(nil)
}

// authorised checks an Authorization header and returns the problem, if any.
func (s *Server) authorised(header string, now time.Time) *problem {
	if header == "" {
		p := usual(unauthenticated)
		p.message = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
		p.challenge = `Bearer realm="https://accounts.google.com/"`
		return p
	}
	scheme, text, _ := strings.Cut(header, " ")
	sealed, hasPrefix := strings.CutPrefix(text, accessPrefix)
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if !strings.EqualFold(scheme, "bearer") || !hasPrefix || err != nil || len(raw) != 16+sha256.Size ||
		!hmac.Equal(raw[16:], s.seal(raw[:16])) ||
		now.Unix() > int64(binary.BigEndian.Uint64(raw[:8])) {
		return usual(unauthenticated)
	}
	return nil
}
