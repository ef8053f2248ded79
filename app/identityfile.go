package app

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/diaphone-dev/diaphone"
)

// identityEntry is the part of an apps file that says whose word binds a user to an
// installation.
type identityEntry struct {
	ID            string                     `yaml:"id"`
	Algorithm     diaphone.IdentityAlgorithm `yaml:"algorithm"`
	PublicKeyFile string                     `yaml:"public_key_file"`
	Secret        diaphone.Secret            `yaml:"secret"`
}

// leastSecret is as long as what HS256 makes of it (RFC 7518 §3.2).
const leastSecret = 32

func (r *appsReader) identityKeys(at string, a *diaphone.App, entries []identityEntry) (keys []diaphone.IdentityKey) {
	for i, e := range entries {
		at := fmt.Sprintf("%s[%d]", at, i)
		if !appID.MatchString(e.ID) {
			r.faultf(at+".id", "the id of an identity key, which a token's kid names, is 1 to 64 letters, digits, _ or -")
		}
		if slices.ContainsFunc(keys, func(k diaphone.IdentityKey) bool { return k.ID == e.ID }) ||
			slices.ContainsFunc(a.Keys, func(k diaphone.Key) bool { return k.Key == e.ID }) {
			r.faultf(at+".id", "two keys are named %q, and a token could mean either: give this one an id of its own", e.ID)
		}
		key := diaphone.IdentityKey{ID: e.ID, Algorithm: e.Algorithm, Secret: e.Secret}
		switch e.Algorithm {
		case diaphone.HS256:
			if len(e.Secret) < leastSecret || e.PublicKeyFile != "" {
				r.faultf(at+".secret", "%s needs a secret of at least %d bytes, and no public_key_file", e.Algorithm, leastSecret)
			}
		case diaphone.EdDSA, diaphone.ES256:
			if e.Secret != "" {
				r.faultf(at+".secret", "%s needs a public_key_file and no secret: the private key stays with your backend", e.Algorithm)
			}
			key.Public = r.publicKey(at+".public_key_file", &e)
		default:
			r.faultf(at+".algorithm", "use %s, %s or %s", diaphone.EdDSA, diaphone.ES256, diaphone.HS256)
		}
		keys = append(keys, key)
	}
	return keys
}

// publicKey reads a public key that fits the algorithm. A private one is refused: it has
// no business here.
func (r *appsReader) publicKey(at string, e *identityEntry) any {
	text, ok := r.file(at, e.PublicKeyFile)
	if !ok {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		r.faultf(at, "%s is no PEM file of a public key; `openssl pkey -in private.pem -pubout` prints one", e.PublicKeyFile)
		return nil
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		r.faultf(at, "%s: %v", e.PublicKeyFile, err)
		return nil
	}
	switch k := key.(type) {
	case ed25519.PublicKey:
		if e.Algorithm == diaphone.EdDSA {
			return k
		}
	case *ecdsa.PublicKey:
		if e.Algorithm == diaphone.ES256 && k.Curve == elliptic.P256() {
			return k
		}
	}
	r.faultf(at, "%s does not hold a key of %s, which is Ed25519 for %s and P-256 for %s", e.PublicKeyFile, e.Algorithm, diaphone.EdDSA, diaphone.ES256)
	return nil
}
