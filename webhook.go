package diaphone

import (
	"slices"
	"strings"
	"time"
)

// Webhook is an address of an app's backend that wants to be told what happens on
// the live side.
type Webhook struct {
	Name    string       // unique within the app; names its queue, so it outlives a change of the rest
	URL     string       // only ever called through the egress guard
	Notices []NoticeKind // that it wants; none: all
	// Prefixes of the channels that it wants to hear of; none: all.
	Prefixes []string
	// Headers go with every request, for gateways in front of the backend.
	Headers map[string]Secret
}

// Wants tells whether a notice is for this webhook.
func (w *Webhook) Wants(kind NoticeKind, c ChannelName) bool {
	if len(w.Notices) > 0 && !slices.Contains(w.Notices, kind) {
		return false
	}
	return len(w.Prefixes) == 0 || slices.ContainsFunc(w.Prefixes, func(p string) bool {
		return strings.HasPrefix(string(c), p)
	})
}

// WebhookID names a webhook across apps.
type WebhookID struct {
	App  AppID
	Name string
}

// String is for logs and metrics.
func (id WebhookID) String() string { return string(id.App) + "/" + id.Name }

// Notice is one thing that a backend is told through a webhook (Pusher calls it a
// webhook event; an Event of ours is what sockets receive). Fields that do not
// belong to its kind are empty.
type Notice struct {
	ID      string // the same in every attempt and for every webhook that hears of it
	At      time.Time
	Kind    NoticeKind
	Channel ChannelName
	User    UserID   // who came or went; who sent, on a presence channel
	Socket  SocketID // who sent
	Event   string   // client_event: its name
	Data    string   // client_event: its data
	Count   int      // subscription_count
}

// NoticeKind says what a notice is about, in Pusher's words
// (https://pusher.com/docs/channels/server_api/webhooks).
type NoticeKind string

// The kinds.
const (
	ChannelOccupied   NoticeKind = "channel_occupied"
	ChannelVacated    NoticeKind = "channel_vacated"
	MemberAdded       NoticeKind = "member_added"
	MemberRemoved     NoticeKind = "member_removed"
	ClientEvent       NoticeKind = "client_event"
	CacheMiss         NoticeKind = "cache_miss"
	SubscriptionCount NoticeKind = "subscription_count"
)

// NoticeKinds are all of them.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{ChannelOccupied, ChannelVacated, MemberAdded, MemberRemoved, ClientEvent, CacheMiss, SubscriptionCount}
}
