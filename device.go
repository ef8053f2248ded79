package diaphone

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Platform is what a device runs.
type Platform string

// The platforms.
const (
	IOS     Platform = "ios"
	Android Platform = "android"
	Web     Platform = "web"
)

// TokenKind says which provider understands a token, and for which use.
type TokenKind string

// The kinds of token.
const (
	TokenAPNs     TokenKind = "apns"      // an APNs device token, hex
	TokenAPNsVoIP TokenKind = "apns-voip" // a PushKit token for calls, hex; a second one beside TokenAPNs
	TokenFCM      TokenKind = "fcm"       // an FCM registration token; also on iOS with firebase_messaging
	TokenWebPush  TokenKind = "webpush"   // a browser's Subscription
)

// Provider names the provider that a token of this kind goes to.
func (k TokenKind) Provider() ProviderName {
	switch k {
	case TokenAPNs, TokenAPNsVoIP:
		return APNs
	case TokenFCM:
		return FCM
	case TokenWebPush:
		return WebPush
	}
	return ""
}

// Environment of an APNs token: a token of one is unknown in the other.
type Environment string

// The environments of APNs.
const (
	Production Environment = "production"
	Sandbox    Environment = "sandbox"
)

// Device is one installation of an app.
type Device struct {
	App       AppID
	ID        DeviceID
	Platform  Platform
	Tokens    []Token // at most one of each kind; order is preference
	User      UserID  // empty: anonymous
	Channels  []ChannelName
	Locale    string // BCP 47, for example "de-AT"
	TimeZone  string // IANA, for example "Europe/Vienna"
	Tags      map[string]string
	CreatedAt time.Time
	UpdatedAt time.Time

	SecretHash TokenHash // of the installation's own secret; zero: it has none
	BindsFrom  time.Time // identity tokens issued before bind no user any more; only of a device with a secret
}

// Token is how a provider finds a device.
type Token struct {
	Kind         TokenKind
	Value        Secret
	Environment  Environment // APNs only; empty: the environment of the app's first APNs credential
	Topic        string      // APNs only: the app's bundle id; empty: the topic of the credential
	RegisteredAt time.Time   // the last time that the device registered it; decides whether a "gone" is out of date
	GoneAt       time.Time   // since when the provider says that it is dead; zero: it is active
	GoneReason   string      // in the provider's word
}

// Active tells whether messages go to the token. One that is gone stays on record
// until the device registers another, so that what became of it can be told.
func (t *Token) Active() bool { return t.GoneAt.IsZero() }

// Limits of a device record.
const (
	MaxDeviceChannels = 1000
	maxTags           = 64
	maxTagBytes       = 256
	maxTokenBytes     = 4096
	maxTopicBytes     = 255
)

// Validate gives an Error that points at every wrong field.
func (d *Device) Validate() error {
	var f fieldErrors
	f.check("/device_id", d.ID.Validate())
	switch d.Platform {
	case IOS, Android, Web:
	default:
		f.addf("/platform", "unknown_value", "platform %q: use %s, %s or %s", word(string(d.Platform)), IOS, Android, Web)
	}
	if d.User != "" {
		f.check("/user_id", d.User.Validate())
	}
	d.validateTokens(&f)
	if len(d.Channels) > MaxDeviceChannels {
		f.addf("/channels", "too_many", "a device listens to at most %d channels, these are %d", MaxDeviceChannels, len(d.Channels))
	}
	for i, c := range d.Channels {
		f.check(fmt.Sprintf("/channels/%d", i), c.Validate())
	}
	if d.TimeZone != "" {
		if _, err := time.LoadLocation(d.TimeZone); err != nil || d.TimeZone == "Local" {
			f.addf("/time_zone", "unknown_value", "time zone %q is not in the IANA database; an example is Europe/Vienna", word(d.TimeZone))
		}
	}
	if d.Locale != "" {
		f.check("/locale", validateText("locale", d.Locale, 35))
	}
	d.validateTags(&f)
	return f.err("the device")
}

func (d *Device) validateTokens(f *fieldErrors) {
	seen := map[TokenKind]bool{}
	for i, t := range d.Tokens {
		at := fmt.Sprintf("/tokens/%d", i)
		if t.Kind.Provider() == "" {
			f.addf(at+"/kind", "unknown_value", "token kind %q: use %s, %s, %s or %s", word(string(t.Kind)), TokenAPNs, TokenAPNsVoIP, TokenFCM, TokenWebPush)
			continue
		}
		if seen[t.Kind] {
			f.addf(at+"/kind", "duplicate", "a device has at most one token of kind %s", t.Kind)
		}
		seen[t.Kind] = true
		if t.Kind == TokenWebPush {
			_, err := ParseSubscription(t.Value)
			f.under(at+"/subscription", err)
		} else if detail := t.fault(); detail != "" {
			f.addf(at+"/value", "malformed", "%s", detail)
		}
		switch {
		case t.Kind.Provider() != APNs && t.Environment != "":
			f.addf(at+"/environment", "not_allowed", "only tokens of kinds %s and %s have an environment", TokenAPNs, TokenAPNsVoIP)
		case t.Environment != "" && t.Environment != Production && t.Environment != Sandbox:
			f.addf(at+"/environment", "unknown_value", "environment %q: use %s or %s", word(string(t.Environment)), Production, Sandbox)
		}
		switch {
		case t.Kind.Provider() != APNs && t.Topic != "":
			f.addf(at+"/topic", "not_allowed", "only tokens of kinds %s and %s have a topic", TokenAPNs, TokenAPNsVoIP)
		case len(t.Topic) > maxTopicBytes || !every(t.Topic, isTopic):
			f.addf(at+"/topic", "malformed", "a topic is the app's bundle id: letters, digits, - and ., at most %d", maxTopicBytes)
		}
	}
}

// fault says what is wrong with the token's text, without repeating it.
func (t *Token) fault() string {
	v := t.Value.Reveal()
	if v == "" || len(v) > maxTokenBytes {
		return fmt.Sprintf("a token has 1 to %d bytes, this one has %d", maxTokenBytes, len(v))
	}
	if t.Kind.Provider() == APNs {
		// Apple says that the length may change, so only the alphabet is sure.
		if len(v)%2 != 0 || len(v) > 200 || !every(v, isHex) {
			return "an APNs token is an even number of hex digits, at most 200"
		}
		return ""
	}
	if !every(v, func(c byte) bool { return c > ' ' && c < 0x7f }) {
		return "a token has printable ASCII characters only, and no spaces"
	}
	return ""
}

func (d *Device) validateTags(f *fieldErrors) {
	if len(d.Tags) > maxTags {
		f.addf("/tags", "too_many", "a device has at most %d tags, these are %d", maxTags, len(d.Tags))
		return
	}
	for _, k := range slices.Sorted(maps.Keys(d.Tags)) {
		at := "/tags/" + escapePointer(k)
		f.check(at, validateText("tag's name", k, maxTagBytes))
		if len(d.Tags[k]) > maxTagBytes {
			f.addf(at, "too_long", "a tag's value has at most %d bytes, this one has %d", maxTagBytes, len(d.Tags[k]))
		}
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isTopic(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.'
}

func every(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
