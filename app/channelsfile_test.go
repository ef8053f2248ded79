package app

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
)

func load(t *testing.T, text string) (*Tenants, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apps.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadApps(path, egress.New(egress.Config{}))
}

func TestChannelSettingsOfAnApp(t *testing.T) {
	tenants, err := load(t, `
apps:
  - id: "1"
  - id: "2"
    enabled: false
    keys: [{ key: a, secret: s }, { key: b, secret: s, enabled: false }, { key: c, secret: s, enabled: true }]
    channels:
      tls_only: true
      client_events: true
      subscription_count: true
      watchlist: false
      origins: [https://example.com, "https://*.example.org"]
      authorise_within: 30s
      history: [{ prefix: chat-, events: 50, for: 1m }, {}]
    limits:
      event_bytes: 20480
      connections: 5
      presence_members: 1000
      channels_per_connection: 7
      client_events_per_second: 20
      user_info_bytes: 2048
      messages_per_second: 30
      publishes_per_second: 40
      pending: 50
      scheduled: 60
    tokens: [{ token: t, name: cms, publishes_per_second: 7 }, { token: u }]
  - id: "3"
    enabled: true
    channels: { watchlist: true }
`)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []diaphone.App{
		{ID: "1"},
		{ID: "2", Disabled: true,
			Keys: []diaphone.Key{{Key: "a", Secret: "s"}, {Key: "b", Secret: "s", Disabled: true}, {Key: "c", Secret: "s"}},
			Channels: diaphone.ChannelSettings{TLSOnly: true, ClientEvents: true, SubscriptionCount: true, NoWatchlist: true,
				Origins: []diaphone.Origin{"https://example.com", "https://*.example.org"}, AuthoriseWithin: 30 * time.Second,
				History: []diaphone.HistoryRule{{Prefix: "chat-", Events: 50, For: time.Minute}, {}}},
			Limits: diaphone.Limits{EventBytes: 20480, Connections: 5, PresenceMembers: 1000, Channels: 7, ClientEvents: 20,
				UserInfo: 2048, Messages: 30, Publishes: 40, Pending: 50, Scheduled: 60},
			Tokens: []diaphone.AccessToken{{Hash: diaphone.HashToken("t"), Name: "cms", Publishes: 7}, {Hash: diaphone.HashToken("u")}}},
		{ID: "3"},
	} {
		if got := tenants.Apps[i]; !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	zero := tenants.Apps[0].Limits
	if zero.MaxEventBytes() != 10240 || zero.MaxPresenceMembers() != 100 || zero.MaxChannels() != 1000 || zero.MaxClientEvents() != 10 {
		t.Error("the defaults are not Pusher's")
	}
	if zero.MaxUserInfo() != 1024 || zero.MaxMessages() != 100 || zero.Publishes != 0 || zero.MaxPending() != 5_000_000 || zero.MaxScheduled() != 100_000 {
		t.Error("the defaults are others")
	}
}

func TestChannelSettingsThatAreRefused(t *testing.T) {
	for text, part := range map[string]string{
		"channels: { origins: [example.com] }":             `:5: apps[0].channels.origins[0]: invalid: origin "example.com": use scheme and host`,
		"channels: { origins: [https://a/, 7] }":           "scheme and host",
		"channels: { authorise_within: 1ms }":              "at least 1s",
		"channels: { authorise_within: -1s }":              "at least 1s",
		"channels: { authorise_within: soon }":             "apps.yaml:",
		"channels: { history: [{ events: -1 }] }":          "history[0]",
		"channels: { watchlist: perhaps }":                 "apps.yaml:",
		"channels: { clientevents: true }":                 "apps.yaml:",
		"limits: { presence_members: -1 }":                 "limits.presence_members: limits are 0",
		"limits: { client_events_per_second: -1 }":         "limits are 0",
		"limits: { channels_per_connection: -7 }":          "limits are 0",
		"limits: { user_info_bytes: -1 }":                  "limits.user_info_bytes",
		"limits: { messages_per_second: -1 }":              "limits.messages_per_second",
		"limits: { publishes_per_second: -1 }":             "limits.publishes_per_second",
		"limits: { pending: -1 }":                          "limits.pending",
		"limits: { scheduled: -1 }":                        "limits.scheduled",
		"tokens: [{ token: t, publishes_per_second: -1 }]": "tokens[0].publishes_per_second: 0 (no limit",
		"tokens: [{ token: t, name: a b }]":                "tokens[0].name: a token's name",
		"enabled: maybe":                                   "apps.yaml:",
	} {
		_, err := load(t, "apps:\n  - id: \"1\"\n    name: x\n\n    "+text+"\n")
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", text, err, part)
		}
	}
}
