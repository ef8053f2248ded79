package apns

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone/sim/phone"
)

// Limits of Apple's page "Establishing a token-based connection to APNs".
const (
	maxTokenAge    = time.Hour
	minTokenUpdate = 20 * time.Minute
	// clockSkew is how far in the future a token may be issued. Apple gives no
	// figure; a minute forgives a clock that NTP keeps.
	clockSkew = time.Minute
)

// maxVerified bounds the cache of verified tokens. A sender needs one an hour.
const maxVerified = 1024

// Key is the public side of a provider's authentication key.
type Key struct {
	ID           string // 10 characters
	TeamID       string // 10 characters
	Public       *ecdsa.PublicKey
	Environments []phone.Environment // empty: both
	Topics       []string            // bundle ids it may send to
	Related      string              // id of the key it may share a connection with, as in rotation

	exact bool // it is a certificate, and Topics has all of them, suffixes and all
}

// covers tells whether the topic, which belongs to the bundle id, is allowed.
func (k *Key) covers(topic, bundle string) bool {
	if k.exact {
		return slices.Contains(k.Topics, topic)
	}
	return slices.Contains(k.Topics, bundle)
}

func (k *Key) allows(env phone.Environment) bool {
	return len(k.Environments) == 0 || slices.Contains(k.Environments, env)
}

// providerToken is a JWT whose signature is good.
type providerToken struct {
	text   string
	key    *Key
	issued time.Time
}

// verifier checks provider tokens, each signature once.
type verifier struct {
	keys map[string]*Key

	mu    sync.RWMutex
	known map[string]*providerToken
}

func newVerifier(keys []Key) *verifier {
	v := &verifier{keys: map[string]*Key{}, known: map[string]*providerToken{}}
	for _, k := range keys {
		v.keys[k.ID] = &k
	}
	return v
}

// check returns the token of an authorization header, or nil and the reason to
// refuse it.
func (v *verifier) check(authorization string, now time.Time) (*providerToken, reason) {
	scheme, text, _ := strings.Cut(authorization, " ")
	if text == "" {
		return nil, missingProviderToken
	}
	if !strings.EqualFold(scheme, "bearer") {
		return nil, invalidProviderToken
	}
	v.mu.RLock()
	t := v.known[text]
	v.mu.RUnlock()
	if t == nil {
		t = v.verify(text)
		if t == nil {
			return nil, invalidProviderToken
		}
		v.remember(t)
	}
	switch age := now.Sub(t.issued); {
	case age > maxTokenAge:
		return nil, expiredProviderToken
	case age < -clockSkew:
		return nil, invalidProviderToken
	}
	return t, ""
}

func (v *verifier) remember(t *providerToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= maxVerified {
		clear(v.known)
	}
	v.known[t.text] = t
}

// verify checks everything about a JWT that time does not change.
func (v *verifier) verify(text string) *providerToken {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil
	}
	var header struct{ Alg, Kid string }
	var claims struct {
		Iss string
		Iat int64 // seconds; Apple's example with a string of milliseconds is refused
	}
	if !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) || header.Alg != "ES256" {
		return nil
	}
	key := v.keys[header.Kid]
	if key == nil || key.TeamID != claims.Iss || claims.Iat <= 0 {
		return nil
	}
	// RFC 7518 section 3.4: the signature is R and S, 32 bytes each.
	sig, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return nil
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(key.Public, digest[:], r, s) {
		return nil
	}
	return &providerToken{text: text, key: key, issued: time.Unix(claims.Iat, 0)}
}

func decodePart(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}

// session is what APNs remembers about the tokens of one connection. Only the
// connection's reader uses it.
type session struct {
	env     phone.Environment
	current *providerToken
	updated time.Time // when current replaced another; zero for the first
}

// admit decides whether a connection may use a token, given those it used
// before. The first binds the connection to a team.
//
// Apple says to renew a token no more than once in 20 minutes. Both readings are
// held against the sender: the second renewal within 20 minutes of the first,
// and a token that was issued within 20 minutes of its predecessor. The first
// renewal itself is free, since a connection may begin shortly before one is due.
func (s *session) admit(t *providerToken, env phone.Environment, now time.Time) reason {
	if !t.key.allows(env) {
		return badEnvironmentKeyID
	}
	old := s.current
	if old == nil {
		s.current = t
		return ""
	}
	if old.text == t.text {
		return ""
	}
	switch {
	case old.key.TeamID != t.key.TeamID:
		return invalidProviderToken
	case old.key != t.key && old.key.Related != t.key.ID && t.key.Related != old.key.ID:
		return unrelatedKeyID
	case old.key == t.key && t.issued.Sub(old.issued).Abs() < minTokenUpdate,
		now.Sub(s.updated) < minTokenUpdate:
		return tooManyTokenUpdates
	}
	s.current, s.updated = t, now
	return ""
}
