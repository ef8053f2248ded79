package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"
)

// maxLifetime is how far in the future a token may expire (RFC 8292 §2).
const maxLifetime = 24 * time.Hour

// authorise verifies the Authorization header (RFC 8292) in the order and words of
// Mozilla's push service. subscribed is the key that the subscription is bound to;
// empty: to none, and then a sender need not say who it is.
func (s *Server) authorise(header, subscribed string, now time.Time) *refusal {
	if header == "" {
		if subscribed == "" {
			return nil
		}
		return vapid("Missing VAPID public key")
	}
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "vapid") {
		return vapid("Unknown auth scheme")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.ReplaceAll(rest, " ", ""), ",") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = strings.Trim(value, `"`)
	}
	switch {
	case fields["k"] == "":
		return vapid("Missing VAPID public key")
	case fields["t"] == "":
		return vapid("Missing VAPID token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(fields["k"], "="))
	if err != nil {
		return vapid("Invalid VAPID public key: " + err.Error())
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return vapid("Invalid VAPID public key: InvalidKeyFormat")
	}
	if r := s.judgeToken(fields["t"], public, now); r != nil {
		return r
	}
	if subscribed != "" && base64.RawURLEncoding.EncodeToString(raw) != subscribed {
		return vapid("VAPID public key mismatch")
	}
	return nil
}

func (s *Server) judgeToken(token string, key *ecdsa.PublicKey, now time.Time) *refusal {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return vapid("Invalid VAPID token: InvalidToken")
	}
	var header struct{ Alg string }
	var claims struct {
		Aud string `json:"aud"`
		Sub string `json:"sub"`
		Exp *int64 `json:"exp"`
	}
	if !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) || header.Alg != "ES256" {
		return vapid("Invalid VAPID token: InvalidToken")
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || len(sig) != 64 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return vapid("Invalid VAPID token: InvalidSignature")
	}
	switch {
	case !slices.Contains(s.audiences, claims.Aud):
		return vapid("Invalid VAPID audience")
	case claims.Exp == nil || !time.Unix(*claims.Exp, 0).After(now):
		return vapid("Invalid VAPID expiry")
	case time.Unix(*claims.Exp, 0).Sub(now) > maxLifetime:
		return vapid("The VAPID token expiration is too long")
	case claims.Sub != "" && !strings.HasPrefix(claims.Sub, "mailto:") && !strings.HasPrefix(claims.Sub, "https://"):
		return vapid("Improperly formatted sub string") // Apple's rule; Mozilla only counts it
	}
	return nil
}

func decodePart(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}
