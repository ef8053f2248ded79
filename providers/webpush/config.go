package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
)

// Config is one Web Push credential: a VAPID key, which the subscriptions of the
// app's pages are bound to.
type Config struct {
	// Key is what the key's file holds: PKCS #8 PEM of a P-256 key, as `diaphone
	// keys vapid` writes it, or 32 bytes in base64url, as most other tools do.
	Key diaphone.Secret
	// Subject is how a push service can reach who sends: a mailto: or https: URL.
	Subject string
	// Navigate is the page that a click opens, unless the message says another: an
	// https URL.
	Navigate string
	// Guard decides which endpoints messages are sent to.
	Guard *egress.Guard
}

// Hosts are the push services of the browsers, for a Guard. Endpoints are at
// names under these.
func Hosts() []string {
	return []string{hostGoogle, hostMozilla, hostApple, hostMicrosoft}
}

const (
	hostGoogle    = "fcm.googleapis.com"
	hostMozilla   = "push.services.mozilla.com"
	hostApple     = "push.apple.com"
	hostMicrosoft = "notify.windows.com"
)

// parse checks the whole configuration. Its errors name the field and never
// repeat what is in it.
func (c *Config) parse() (*ecdsa.PrivateKey, error) {
	if !isSubject(c.Subject) {
		return nil, errors.New("the VAPID subject is where a push service can reach you: mailto:ops@example.com or an https URL; Apple refuses localhost")
	}
	if !isPage(c.Navigate) {
		return nil, errors.New("navigate is the page that a click on a notification opens: an absolute https URL")
	}
	if c.Guard == nil {
		return nil, errors.New("web push needs an egress guard")
	}
	return parseKey(c.Key.Reveal())
}

func isSubject(s string) bool {
	if address, ok := strings.CutPrefix(s, "mailto:"); ok {
		name, host, found := strings.Cut(address, "@")
		return found && name != "" && strings.Contains(host, ".") && every(address, isVisible)
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && strings.Contains(u.Hostname(), ".") && every(s, isVisible)
}

// isPage lets http through for this machine, where browsers take it for secure.
func isPage(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !every(s, isVisible) {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1")
}

// PublicKey gives what pages subscribe with ("applicationServerKey"), in
// base64url, of a key as Config has it.
func PublicKey(key diaphone.Secret) (string, error) {
	parsed, err := parseKey(key.Reveal())
	if err != nil {
		return "", err
	}
	s, err := newSigner(parsed, "")
	if err != nil {
		return "", err
	}
	return s.public, nil
}

func parseKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return parseRawKey(strings.TrimRight(strings.TrimSpace(text), "="))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the VAPID key is not PKCS #8: `diaphone keys vapid` makes one")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the VAPID key is not an ECDSA key on P-256: `diaphone keys vapid` makes one")
	}
	return key, nil
}

func parseRawKey(text string) (*ecdsa.PrivateKey, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("the VAPID key is neither PEM nor 32 bytes in base64url: `diaphone keys vapid` makes one")
}

func every(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isVisible(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '\\' }
