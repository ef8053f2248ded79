package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/identity"
)

// What may become of a device, as pure functions of what it is. The store runs them
// inside of its transaction, so that two who change a device at once see each other.

// byBackend is the device after its backend has registered it: all is as the backend
// says, but for the installation's own secret. That it names another user counts as a
// binding of now, and that it names none any more as a logout.
func byBackend(had, wanted diaphone.Device, now time.Time) diaphone.Device {
	next := had
	next.Platform, next.User, next.Channels = wanted.Platform, wanted.User, wanted.Channels
	next.Locale, next.TimeZone, next.Tags = wanted.Locale, wanted.TimeZone, wanted.Tags
	next.Tokens = registered(had.Tokens, wanted.Tokens, now)
	switch {
	case had.User == next.User:
	case next.User == "":
		next.BindsFrom = afterLogout(&had, now)
	default:
		next.BindsFrom = later(had.BindsFrom, now.Truncate(time.Second))
	}
	return settled(next)
}

// byInstallation is the device after the app on it has said what it is. Whose it is,
// what it listens to and what its backend calls it stay.
func byInstallation(had, wanted diaphone.Device, now time.Time) diaphone.Device {
	next := had
	next.Platform, next.Locale, next.TimeZone = wanted.Platform, wanted.Locale, wanted.TimeZone
	next.Tokens = registered(had.Tokens, wanted.Tokens, now)
	return next
}

// registered marks tokens as fresh: whoever has one in hand has just got it from its
// provider. One that is given again without an environment keeps what has been found
// out.
func registered(had, wanted []diaphone.Token, now time.Time) []diaphone.Token {
	fresh := slices.Clone(wanted)
	for i := range fresh {
		t := &fresh[i]
		t.RegisteredAt, t.GoneAt, t.GoneReason = now, time.Time{}, ""
		if t.Kind.Provider() == diaphone.APNs { // in hex, which has two spellings
			t.Value = diaphone.Secret(strings.ToLower(t.Value.Reveal()))
		}
		j := slices.IndexFunc(had, func(h diaphone.Token) bool { return h.Kind == t.Kind && h.Value == t.Value })
		if j >= 0 && t.Environment == "" {
			t.Environment = had[j].Environment
		}
	}
	return fresh
}

// afterLogout is the mark of a device whose user has logged out: behind this second,
// and behind the token that had bound him, whose clock may be ahead of ours.
func afterLogout(had *diaphone.Device, now time.Time) time.Time {
	mark := now.Truncate(time.Second).Add(time.Second)
	if had.User == "" {
		return later(had.BindsFrom, mark)
	}
	return later(had.BindsFrom.Add(time.Second), mark)
}

// bound is the device after an identity token has said whose it is. A token that is older
// than what the device has heard is refused, and so is one of the same second that names
// another user: nobody knows which of the two was first.
func bound(had diaphone.Device, c *identity.Claims) (diaphone.Device, error) {
	another := had.User != "" && had.User != c.User
	if c.IssuedAt.Before(had.BindsFrom) || another && c.IssuedAt.Equal(had.BindsFrom) {
		return had, outdated()
	}
	next := had
	if another {
		next.Channels = openChannels(had.Channels)
	}
	next.User, next.BindsFrom = c.User, c.IssuedAt
	return next, nil
}

// loggedOut is the device after its user has left it, with him the channels that he was
// let into, and with both every token from before.
func loggedOut(had diaphone.Device, now time.Time) diaphone.Device {
	next := had
	next.User, next.Channels, next.BindsFrom = "", openChannels(had.Channels), afterLogout(&had, now)
	return next
}

// authorised refuses a token that does not let the device's user into the channel.
func authorised(had *diaphone.Device, c *identity.Claims, channel diaphone.ChannelName) error {
	switch {
	case c.IssuedAt.Before(had.BindsFrom):
		return outdated()
	case had.User != c.User:
		return identityRefused(RefusedUser, "the token is for another user than the device is bound to: bind the user first")
	case !c.Opens(channel):
		return identityRefused(RefusedChannel, "the token's channels do not have this one")
	}
	return nil
}

// openChannels leaves out what somebody was let into: it was his, not the device's.
func openChannels(channels []diaphone.ChannelName) []diaphone.ChannelName {
	return slices.DeleteFunc(slices.Clone(channels), func(c diaphone.ChannelName) bool { return c.Kind() != diaphone.Public })
}

// withSecret is the device with a new secret in place of the one before. One that had
// none has heard no token yet: those from before count for nothing.
func withSecret(had diaphone.Device, hash diaphone.TokenHash, now time.Time) diaphone.Device {
	next := had
	if had.SecretHash == (diaphone.TokenHash{}) {
		next.BindsFrom = now.Truncate(time.Second)
	}
	next.SecretHash = hash
	return next
}

// settled keeps no mark of a device that nobody can bind with an identity token.
func settled(d diaphone.Device) diaphone.Device {
	if d.SecretHash == (diaphone.TokenHash{}) {
		d.BindsFrom = time.Time{}
	}
	return d
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// listening is the device after it has joined a channel.
func listening(d diaphone.Device, c diaphone.ChannelName) (diaphone.Device, error) {
	if slices.Contains(d.Channels, c) {
		return d, nil
	}
	if len(d.Channels) >= diaphone.MaxDeviceChannels {
		return d, diaphone.InvalidField("/channels", "too_many", "a device listens to at most %d channels", diaphone.MaxDeviceChannels)
	}
	d.Channels = append(slices.Clip(d.Channels), c)
	return d, nil
}

// notListening is the device after it has left a channel.
func notListening(d diaphone.Device, c diaphone.ChannelName) diaphone.Device {
	d.Channels = slices.DeleteFunc(slices.Clone(d.Channels), func(have diaphone.ChannelName) bool { return have == c })
	return d
}
