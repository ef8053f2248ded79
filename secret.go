package diaphone

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is text that must never reach a log, a metric or an error: app
// secrets, provider tokens. It prints, formats, marshals and logs as
// "[redacted]"; only Reveal gives it away, which makes every place that does
// easy to find. It cannot protect itself in an unexported field: fmt prints
// those without asking, so never print a struct that has one.
type Secret string

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

// Equal compares in constant time.
func (s Secret) Equal(other string) bool {
	a, b := sha256.Sum256([]byte(s)), sha256.Sum256([]byte(other))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Fingerprint is the first 8 hex digits of the SHA-256: enough to tell two
// secrets apart in a log, useless to anyone else.
func (s Secret) Fingerprint() string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// Format covers %v, %s, %q, %+v, %#v and everything else fmt knows.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String covers string concatenation through fmt.Stringer.
func (s Secret) String() string { return redacted }

// LogValue covers log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON covers encoding/json; a place that must write the secret writes Reveal.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText covers YAML and other text encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
