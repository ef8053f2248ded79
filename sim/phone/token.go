package phone

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// The shape of an FCM registration token: an installation id, a colon, and a
// long opaque part that begins with APA91b.
const (
	fcmInstanceLen = 22
	fcmSecretStart = "APA91b"
	fcmSecretLen   = 134
	fcmMinLen      = 64 // shorter strings are no registration tokens
)

// derive returns n bytes that depend only on the kind of token and the name of
// the phone, so that a simulator started again issues the same token to a phone
// of the same name, and a test can compute it.
func derive(kind, name string, n int) []byte {
	var out []byte
	for i := byte(0); len(out) < n; i++ {
		mac := hmac.New(sha256.New, []byte("diaphone simulated phone"))
		mac.Write([]byte{i})
		mac.Write([]byte(kind))
		mac.Write([]byte{0})
		mac.Write([]byte(name))
		out = mac.Sum(out)
	}
	return out[:n]
}

func apnsToken(kind, name string) string {
	return hex.EncodeToString(derive(kind, name, 32))
}

func fcmToken(name string) string {
	text := base64.RawURLEncoding.EncodeToString(derive(string(Android), name, 120))
	return text[:fcmInstanceLen] + ":" + fcmSecretStart +
		text[fcmInstanceLen:][:fcmSecretLen-len(fcmSecretStart)]
}

// IsFCMToken reports whether s has the shape of a registration token, issued or
// not. FCM answers differently to what was never a token and to what is none any
// more.
func IsFCMToken(s string) bool {
	instance, secret, found := strings.Cut(s, ":")
	return found && len(s) >= fcmMinLen && instance != "" &&
		strings.HasPrefix(secret, fcmSecretStart) && urlSafe(instance) && urlSafe(secret)
}

func urlSafe(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
