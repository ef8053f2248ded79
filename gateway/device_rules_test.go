package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/identity"
)

// at is so many seconds into these tests.
func at(seconds float64) time.Time {
	return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// told is what a rule makes of a device, in short: user, mark, channels.
func told(d diaphone.Device, err error) string {
	if err != nil {
		return RefusalOf(err)
	}
	mark := "-"
	if !d.BindsFrom.IsZero() {
		mark = fmt.Sprint(d.BindsFrom.Sub(at(0)).Seconds())
	}
	return fmt.Sprintf("%s %s %v", d.User, mark, d.Channels)
}

func TestRulesOfADevice(t *testing.T) {
	had := func(user diaphone.UserID, mark float64, channels ...diaphone.ChannelName) diaphone.Device {
		return diaphone.Device{ID: "d", User: user, BindsFrom: at(mark), Channels: channels, SecretHash: diaphone.HashToken("secret")}
	}
	without := func(user diaphone.UserID) diaphone.Device { return diaphone.Device{ID: "d", User: user} }
	bind := func(d diaphone.Device, user diaphone.UserID, iat float64) (diaphone.Device, error) {
		return bound(d, &identity.Claims{User: user, IssuedAt: at(iat)})
	}
	backend := func(d diaphone.Device, user diaphone.UserID, now float64) diaphone.Device {
		return byBackend(d, diaphone.Device{User: user, Channels: []diaphone.ChannelName{"said"}}, at(now))
	}
	hash := diaphone.HashToken("new")
	for i, c := range []struct {
		got  string
		want string
	}{
		// An identity token.
		{told(bind(had("", 0), "ana", 5)), "ana 5 []"},
		{told(bind(had("ana", 5), "ana", 5)), "ana 5 []"},
		{told(bind(had("ana", 5), "ben", 5)), "token_outdated"},
		{told(bind(had("ana", 5), "ana", 4)), "token_outdated"},
		{told(bind(had("ana", 5, "news", "private-a"), "ana", 6)), "ana 6 [news private-a]"},
		{told(bind(had("ana", 5, "news", "private-a", "presence-b", "cache-c"), "ben", 6)), "ben 6 [news cache-c]"},
		{told(bind(had("", 5, "news", "private-a"), "ben", 5)), "ben 5 [news private-a]"}, // the backend had put it there
		{told(bind(had("", 5), "ana", 4)), "token_outdated"},
		// A logout, and what is behind it.
		{told(loggedOut(had("ana", 5, "news", "private-a"), at(7.3)), nil), " 8 [news]"},
		{told(bind(loggedOut(had("ana", 5), at(7.3)), "ana", 7)), "token_outdated"},
		{told(bind(loggedOut(had("ana", 5), at(7.3)), "ana", 8)), "ana 8 []"},
		{told(loggedOut(had("ana", 20), at(7.3)), nil), " 21 []"}, // bound by a clock that is ahead
		{told(loggedOut(had("", 8), at(7.9)), nil), " 8 []"},
		// The backend's word.
		{told(backend(had("ana", 5), "ana", 9.5), nil), "ana 5 [said]"},
		{told(backend(had("ana", 5), "ben", 9.5), nil), "ben 9 [said]"},
		{told(backend(had("ana", 20), "ben", 9.5), nil), "ben 20 [said]"},
		{told(backend(had("ana", 5), "", 9.5), nil), " 10 [said]"},
		{told(backend(had("", 5), "", 9.5), nil), " 5 [said]"},
		{told(bind(backend(had("ana", 5), "ben", 9.5), "ana", 9)), "token_outdated"},
		{told(backend(without("ana"), "ben", 9.5), nil), "ben - [said]"}, // and costs nothing
		{told(backend(without(""), "ben", 9.5), nil), "ben - [said]"},
		// A secret.
		{told(withSecret(without("ana"), hash, at(9.5)), nil), "ana 9 []"},
		{told(withSecret(had("ana", 5), hash, at(9.5)), nil), "ana 5 []"},
		// What the installation says.
		{told(byInstallation(had("ana", 5, "private-a"), diaphone.Device{User: "eve", Channels: []diaphone.ChannelName{"private-eve"}, BindsFrom: at(1)}, at(9)), nil), "ana 5 [private-a]"},
	} {
		if c.got != c.want {
			t.Errorf("%d: %q, want %q", i, c.got, c.want)
		}
	}
	if d := backend(had("ana", 5), "ana", 9); d.SecretHash != diaphone.HashToken("secret") {
		t.Error("the backend's word has ended the secret")
	}
	if d := withSecret(had("ana", 5), hash, at(9)); d.SecretHash != hash {
		t.Error("the secret is not the new one")
	}
}

func TestRegisteredTokensAreFresh(t *testing.T) {
	dead := diaphone.Token{Kind: diaphone.TokenFCM, Value: "x", RegisteredAt: at(1), GoneAt: at(2), GoneReason: "UNREGISTERED"}
	given := []diaphone.Token{dead}
	fresh := registered(nil, given, at(9))[0]
	if !fresh.Active() || fresh.GoneReason != "" || !fresh.RegisteredAt.Equal(at(9)) || given[0].GoneAt.IsZero() {
		t.Errorf("%+v of %+v", fresh, given[0])
	}
}

// What was found out of a token stays until the device says otherwise, or until the
// token is another.
func TestTheEnvironmentOfAToken(t *testing.T) {
	token := func(value diaphone.Secret, env diaphone.Environment) diaphone.Token {
		return diaphone.Token{Kind: diaphone.TokenAPNs, Value: value, Environment: env}
	}
	had := []diaphone.Token{{Kind: diaphone.TokenFCM, Value: "aa"}, token("aa", diaphone.Sandbox)}
	for _, c := range []struct {
		given diaphone.Token
		want  diaphone.Environment
	}{
		{token("aa", ""), diaphone.Sandbox},
		{token("aa", diaphone.Production), diaphone.Production},
		{token("bb", ""), ""},
	} {
		if got := registered(had, []diaphone.Token{c.given}, at(9))[0].Environment; got != c.want {
			t.Errorf("%s registered again for %q: %q, want %q", c.given.Value.Reveal(), c.given.Environment, got, c.want)
		}
	}
}

func TestChannelsOfADevice(t *testing.T) {
	d := diaphone.Device{}
	var err error
	for i := range diaphone.MaxDeviceChannels {
		if d, err = listening(d, diaphone.ChannelName(fmt.Sprint("c", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := listening(d, "one-more"); diaphone.CodeOf(err) != diaphone.Invalid {
		t.Errorf("one more: %v", err)
	}
	if again, err := listening(d, "c7"); err != nil || len(again.Channels) != diaphone.MaxDeviceChannels {
		t.Errorf("one that is there: %v", err)
	}
	if _, err := listening(notListening(d, "c7"), "one-more"); err != nil {
		t.Errorf("after making room: %v", err)
	}
}
