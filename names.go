package diaphone

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names. Channel and event names follow Pusher's published limits
// (https://pusher.com/docs/channels, "channel naming conventions").
const (
	MaxChannelName = 164 // characters
	MaxEventName   = 200 // characters
	MaxUserID      = 128 // characters
	MaxDeviceID    = 128 // characters
)

// Channel prefixes of the Pusher protocol.
const (
	PrefixPrivate      = "private-"
	PrefixPresence     = "presence-"
	PrefixEncrypted    = "private-encrypted-"
	prefixCache        = "cache-" // also right behind one of the above
	PrefixServerToUser = "#server-to-user-"
)

// Validate refuses a name that Pusher's protocol would not carry: letters,
// digits and _-=@,.; up to 164 characters, or #server-to-user-ID.
func (n ChannelName) Validate() error {
	if user, ok := n.User(); ok {
		return user.Validate()
	}
	if n == "" || len(n) > MaxChannelName {
		return Errorf(Invalid, "a channel name has 1 to %d characters, this one has %d", MaxChannelName, len(n))
	}
	for i := range len(n) {
		if !channelByte(n[i]) {
			return Errorf(Invalid, "channel name %q: only letters, digits and _-=@,.; are allowed", clip(string(n)))
		}
	}
	return nil
}

// NeedsAuth tells whether a subscription must be signed by the app's backend.
func (n ChannelName) NeedsAuth() bool {
	return strings.HasPrefix(string(n), PrefixPrivate) || n.IsPresence()
}

// IsPresence tells whether the members of the channel are known to each other.
func (n ChannelName) IsPresence() bool { return strings.HasPrefix(string(n), PrefixPresence) }

// IsEncrypted tells whether the data of the channel's events is encrypted from end
// to end; nothing here can read it.
func (n ChannelName) IsEncrypted() bool { return strings.HasPrefix(string(n), PrefixEncrypted) }

// IsCache tells whether the channel's last event is kept for those who come later.
func (n ChannelName) IsCache() bool {
	kind := string(n)
	for _, prefix := range []string{PrefixEncrypted, PrefixPrivate, PrefixPresence} { // the longer first
		if rest, ok := strings.CutPrefix(kind, prefix); ok {
			kind = rest
			break
		}
	}
	return strings.HasPrefix(kind, prefixCache)
}

// ChannelKind says who may listen to a channel.
type ChannelKind string

// The kinds of channel, each a kind of name.
const (
	Public    ChannelKind = "public"    // whoever connects
	Private   ChannelKind = "private"   // whom the app's backend has signed
	Encrypted ChannelKind = "encrypted" // private, and encrypted from end to end
	Presence  ChannelKind = "presence"  // private, and the members know of each other
	Personal  ChannelKind = "user"      // the signed-in connections of one user
)

// Kind gives the kind of the channel.
func (n ChannelName) Kind() ChannelKind {
	_, personal := n.User()
	switch {
	case personal:
		return Personal
	case n.IsPresence():
		return Presence
	case n.IsEncrypted():
		return Encrypted
	case n.NeedsAuth():
		return Private
	}
	return Public
}

// User gives the user of a #server-to-user- channel.
func (n ChannelName) User() (UserID, bool) {
	user, ok := strings.CutPrefix(string(n), PrefixServerToUser)
	return UserID(user), ok
}

// UserChannel is the channel on which one user's signed-in connections receive
// events (Pusher's server-to-user).
func UserChannel(u UserID) ChannelName { return ChannelName(PrefixServerToUser + string(u)) }

func channelByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("_-=@,.;", c) >= 0
}

// Validate refuses an empty, overlong or unprintable id.
func (u UserID) Validate() error { return validateText("user id", string(u), MaxUserID) }

// Validate refuses an empty or overlong id, and what a URL path cannot carry
// unharmed: letters, digits and -._~:@=,; are allowed, "." and ".." alone are
// not, because proxies and libraries resolve them (RFC 3986 §5.2.4).
func (d DeviceID) Validate() error {
	if d == "" || len(d) > MaxDeviceID {
		return Errorf(Invalid, "a device id has 1 to %d characters, this one has %d", MaxDeviceID, len(d))
	}
	if d == "." || d == ".." {
		return Errorf(Invalid, "device id %q: it would be lost in a URL path", d)
	}
	for i := range len(d) {
		if c := d[i]; !channelByte(c) && c != '~' && c != ':' {
			return Errorf(Invalid, "device id %q: only letters, digits and -._~:@=,; are allowed", clip(string(d)))
		}
	}
	return nil
}

// ValidateEventName refuses empty, overlong and unprintable names, and those
// that belong to the protocol itself: a publisher must not be able to forge
// "pusher:" events.
func ValidateEventName(name string) error {
	if strings.HasPrefix(name, "pusher:") || strings.HasPrefix(name, "pusher_internal:") {
		return Errorf(Invalid, "event name %q: names that begin with pusher: or pusher_internal: belong to the protocol", clip(name))
	}
	return validateText("event name", name, MaxEventName)
}

func validateText(what, s string, most int) error {
	if !utf8.ValidString(s) {
		return Errorf(Invalid, "the %s is not valid UTF-8", what)
	}
	if n := utf8.RuneCountInString(s); n == 0 || n > most {
		return Errorf(Invalid, "the %s has 1 to %d characters, this one has %d", what, most, n)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return Errorf(Invalid, "the %s %q has characters that cannot be printed", what, clip(s))
	}
	return nil
}

// clip keeps foreign text in an error message short.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// word gives a text that should have been one of a few words, for an error. What is
// longer than any of them may be a token in the wrong field, and is not said again.
func word(s string) string {
	const most = 32
	if len(s) <= most {
		return s
	}
	return redacted
}
