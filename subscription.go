package diaphone

import (
	"crypto/ecdh"
	"encoding/base64"
	"strings"
)

// Subscription is a browser's consent to be pushed to: what
// PushSubscription.toJSON() gives, and the token of kind webpush.
type Subscription struct {
	Endpoint string // where its push service takes messages for it; whoever knows it can send there
	Key      []byte // "p256dh", the browser's public key: 65 bytes, a point of P-256, uncompressed
	Auth     []byte // "auth", 16 bytes that the browser shares with us
}

// Sizes of a subscription.
const (
	MaxEndpointBytes = 2048
	subscriptionAuth = 16
)

// SubscriptionToken writes a subscription, its keys in base64url as browsers
// give them, as the value of a token. It checks nothing: Token's validation does.
//
// The form is endpoint#p256dh.auth. An endpoint has no fragment, and base64url
// has no dot.
func SubscriptionToken(endpoint, p256dh, auth string) Secret {
	return Secret(endpoint + "#" + strings.TrimRight(p256dh, "=") + "." + strings.TrimRight(auth, "="))
}

// SubscriptionText is the inverse of SubscriptionToken.
func SubscriptionText(token Secret) (endpoint, p256dh, auth string) {
	text := token.Reveal()
	cut := strings.LastIndexByte(text, '#')
	if cut < 0 {
		return text, "", ""
	}
	p256dh, auth, _ = strings.Cut(text[cut+1:], ".")
	return text[:cut], p256dh, auth
}

// ParseSubscription reads the value of a token. Its error points at the field at
// fault from the subscription on, and repeats nothing of it.
func ParseSubscription(token Secret) (Subscription, error) {
	endpoint, p256dh, auth := SubscriptionText(token)
	var f fieldErrors
	switch {
	case len(endpoint) > MaxEndpointBytes:
		f.addf("/endpoint", "too_long", "an endpoint has at most %d bytes, this one has %d", MaxEndpointBytes, len(endpoint))
	case !strings.HasPrefix(endpoint, "https://") && !strings.HasPrefix(endpoint, "http://"),
		strings.Contains(endpoint, "#"), !every(endpoint, func(c byte) bool { return c > ' ' && c < 0x7f }):
		f.addf("/endpoint", "malformed", "the endpoint is the https URL that the browser gave")
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(p256dh)
	if err == nil {
		_, err = ecdh.P256().NewPublicKey(key)
	}
	if err != nil {
		f.addf("/keys/p256dh", "malformed", "p256dh is a point of P-256, uncompressed, in base64url: 87 characters")
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(auth)
	if err != nil || len(secret) != subscriptionAuth {
		f.addf("/keys/auth", "malformed", "auth is 16 bytes in base64url: 22 characters")
	}
	return Subscription{Endpoint: endpoint, Key: key, Auth: secret}, f.err("the subscription")
}
