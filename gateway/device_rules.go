package gateway

import (
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// What may become of a device, as pure functions of what it is. The store runs them
// inside of its transaction, so that two who change a device at once see each other.

// byBackend is the device after its backend has registered it: all is as the backend
// says, but for the installation's own secret. That it names another user counts as a
// binding of now, and that it names none as a logout.
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
