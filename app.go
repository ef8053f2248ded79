package diaphone

import (
	"crypto"
	"crypto/sha256"
)

// App is a tenant. Everything stored, counted or logged belongs to one.
type App struct {
	ID          AppID
	Name        string
	Keys        []Key
	Tokens      []AccessToken
	Credentials []Credential
	Limits      Limits
	Channels    ChannelSettings
	Disabled    bool         // refused at every door; what has been accepted still goes out
	Confirm     Confirmation // for messages that do not say it themselves
	Webhooks    []Webhook
	Enrolment   bool // installations may make devices with no more than a public key

	IdentityKeys []IdentityKey
}

// IdentityKey verifies the tokens by which the app's backend says whose an installation
// is. An algorithm belongs to a key: what a token says of it decides nothing.
type IdentityKey struct {
	ID        string // what a token's kid names
	Algorithm IdentityAlgorithm
	Public    crypto.PublicKey // EdDSA: ed25519.PublicKey; ES256: *ecdsa.PublicKey on P-256
	Secret    Secret           // HS256
}

// IdentityAlgorithm is a signature algorithm (RFC 7518, RFC 8037).
type IdentityAlgorithm string

// The algorithms.
const (
	EdDSA IdentityAlgorithm = "EdDSA"
	ES256 IdentityAlgorithm = "ES256"
	HS256 IdentityAlgorithm = "HS256"
)

// IdentityKey finds the key that a token's kid names: one of the app's identity keys, or
// one of its key pairs, whose secret then signs. An empty kid is that of SigningKey.
func (a *App) IdentityKey(kid string) (IdentityKey, bool) {
	for _, k := range a.IdentityKeys {
		if k.ID == kid && kid != "" {
			return k, true
		}
	}
	pair, ok := a.Key(kid)
	if kid == "" {
		pair, ok = a.SigningKey()
	}
	return IdentityKey{ID: pair.Key, Algorithm: HS256, Secret: pair.Secret}, ok
}

// Key is one key pair of the Pusher protocol; an app may own several while it
// rotates them.
type Key struct {
	Key      string // public: every installed app carries it
	Secret   Secret
	Disabled bool // counts as unknown
}

// Key finds one of the app's key pairs; a disabled one is not found.
func (a *App) Key(key string) (Key, bool) {
	for _, k := range a.Keys {
		if k.Key == key && !k.Disabled {
			return k, true
		}
	}
	return Key{}, false
}

// SigningKey is what the gateway itself signs with for the app: the first of its
// keys that is not disabled.
func (a *App) SigningKey() (Key, bool) {
	for _, k := range a.Keys {
		if !k.Disabled {
			return k, true
		}
	}
	return Key{}, false
}

// AccessToken is a bearer token of the native API, as it is known here.
type AccessToken struct {
	Hash      TokenHash
	Name      string // for people; empty: it has none
	Publishes int    // events and messages a second with it; 0: only the app's limit counts
}

// TokenHash is the SHA-256 of a bearer token of the native API. Tokens have
// high entropy, so a fast hash is right and nothing recoverable is kept.
type TokenHash [sha256.Size]byte

// HashToken hashes a bearer token as it came over the wire.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Credential is what routing and pacing need to know of a provider account. Its
// keys stay with the provider that was built from them.
type Credential struct {
	Name        string // unique within the app, for example "apns"; part of the lane
	Provider    ProviderName
	Environment Environment // APNs only
	Topic       string      // APNs only: the bundle id of the app that it pushes to
	Rate        float64     // attempts a second; 0: no limit of ours
	Concurrency int         // attempts in flight at once; 0: DefaultConcurrency
}

// DefaultConcurrency is how many attempts of a lane may be in flight unless its
// credential says otherwise. It is also the bound on duplicates after a crash.
const DefaultConcurrency = 500

// Slots is how many attempts may be in flight.
func (c *Credential) Slots() int {
	if c.Concurrency > 0 {
		return c.Concurrency
	}
	return DefaultConcurrency
}

// Lane is app × credential: what shares one fate (rate, pause). A credential
// belongs to one platform, so the platform needs no part of its own.
type Lane struct {
	App        AppID
	Credential string
}

// String is for logs and metrics.
func (l Lane) String() string { return string(l.App) + "/" + l.Credential }

// Route decides which credential and token kind bring the message to the device: the
// first of its tokens that takes messages of this mode and that one of the app's
// credentials can serve. The reason is set, and the lane empty, when none can.
func (a *App) Route(m *Message, d *Device) (lane Lane, kind TokenKind, reason string) {
	call := m.Notification != nil && m.Notification.Mode == ModeVoIP
	reason = ReasonNoToken
	if call && len(d.Tokens) > 0 {
		reason = ReasonNoVoIPToken
	}
	for i := range d.Tokens {
		t := &d.Tokens[i]
		if !t.takes(call, d.Platform) {
			continue
		}
		if !t.Active() {
			reason = ReasonTokenGone
			continue
		}
		reason = ReasonNoCredential
		for _, c := range a.Credentials {
			if c.serves(t) {
				return Lane{App: a.ID, Credential: c.Name}, t.Kind, ""
			}
		}
	}
	return Lane{}, "", reason
}

// takes: a PushKit token is for calls and nothing else. Calls to other platforms take
// FCM; on iOS it could only wake the app in the background, now and then.
func (t *Token) takes(call bool, p Platform) bool {
	if call {
		return t.Kind == TokenAPNsVoIP || t.Kind == TokenFCM && p != IOS
	}
	return t.Kind != TokenAPNsVoIP
}

// serves: a token that names no environment goes to the first credential of its
// provider; one that does, goes there only, for the other answers BadDeviceToken. So
// with the topic, for which the answer would be DeviceTokenNotForTopic.
func (c *Credential) serves(t *Token) bool {
	if c.Provider != t.Kind.Provider() {
		return false
	}
	return (t.Environment == "" || c.Environment == t.Environment) && (t.Topic == "" || c.Topic == t.Topic)
}
