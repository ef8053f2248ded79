// Package es256 makes the JSON Web Tokens by which Apple and the push services
// of browsers know a sender.
package es256

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
)

// Token signs the claims. Go's ECDSA without a random source is RFC 6979's, the
// same bytes for the same input, so that every node of a fleet makes the same
// token; it gives ASN.1, where RFC 7518 §3.4 wants r and s at 32 bytes each.
func Token(key *ecdsa.PrivateKey, header, claims []byte) (string, error) {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(header) + "." + enc.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	der, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return "", fmt.Errorf("read a token's signature: %w", err)
	}
	var raw [64]byte
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return text + "." + enc.EncodeToString(raw[:]), nil
}
