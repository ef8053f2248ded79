package diaphone

import (
	"slices"
	"strings"
	"time"
)

// Webhook is an address of an app's backend that wants to be told what happens.
type Webhook struct {
	Name    string       // unique within the app; names its queue, so it outlives a change of the rest
	URL     string       // only ever called through the egress guard
	Form    WebhookForm  // of its requests; empty: FormPusher
	Secrets []Secret     // FormStandard: what its requests are signed with, all of them at once
	Notices []NoticeKind // that it wants; none: all that its form can carry
	// Prefixes of the channels that it wants to hear of; none: all. What is about no
	// channel does not ask for them.
	Prefixes []string
	// Headers go with every request, for gateways in front of the backend.
	Headers map[string]Secret
}

// WebhookForm is what a webhook's requests look like.
type WebhookForm string

// The forms.
const (
	// FormPusher is that of Pusher Channels, up to 20 notices in a request, signed with
	// a key of the app. It has no room for what is about no channel.
	FormPusher WebhookForm = "pusher"
	// FormStandard is Standard Webhooks (https://www.standardwebhooks.com), one notice in
	// a request, signed with secrets of the webhook's own.
	FormStandard WebhookForm = "standard"
)

// Wants tells whether a notice is for this webhook.
func (w *Webhook) Wants(kind NoticeKind, c ChannelName) bool {
	if len(w.Notices) > 0 && !slices.Contains(w.Notices, kind) {
		return false
	}
	if !kind.OfChannels() {
		return w.Form == FormStandard
	}
	return len(w.Prefixes) == 0 || slices.ContainsFunc(w.Prefixes, func(p string) bool {
		return strings.HasPrefix(string(c), p)
	})
}

// Kinds are the notices that a form can carry.
func (f WebhookForm) Kinds() []NoticeKind {
	if f == FormStandard {
		return NoticeKinds()
	}
	return slices.DeleteFunc(NoticeKinds(), func(k NoticeKind) bool { return !k.OfChannels() })
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
	// Data of a client_event is the client's. Of a notice that is about no channel it is
	// the JSON object that the backend is told, as things were in that moment.
	Data  string
	Count int // subscription_count
}

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds that are about channels, in Pusher's words
// (https://pusher.com/docs/channels/server_api/webhooks).
const (
	ChannelOccupied   NoticeKind = "channel_occupied"
	ChannelVacated    NoticeKind = "channel_vacated"
	MemberAdded       NoticeKind = "member_added"
	MemberRemoved     NoticeKind = "member_removed"
	ClientEvent       NoticeKind = "client_event"
	CacheMiss         NoticeKind = "cache_miss"
	SubscriptionCount NoticeKind = "subscription_count"
)

// The kinds that are about messages, and what they need to arrive.
const (
	MessageFinished     NoticeKind = "message.finished"     // nothing of it is left to do
	TokenDead           NoticeKind = "device.token_dead"    // a provider has said so, and it was given up
	UserUnreachable     NoticeKind = "user.unreachable"     // a message to the user by name has reached no device and no socket of theirs
	CredentialFailed    NoticeKind = "credential.failed"    // its provider refuses it; what it was for waits
	CredentialRecovered NoticeKind = "credential.recovered" // its provider takes it again
)

// NoticeKinds are all of them.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{
		ChannelOccupied, ChannelVacated, MemberAdded, MemberRemoved, ClientEvent, CacheMiss, SubscriptionCount,
		MessageFinished, TokenDead, UserUnreachable, CredentialFailed, CredentialRecovered,
	}
}

// OfChannels tells whether a kind is about a channel.
func (k NoticeKind) OfChannels() bool { return !strings.Contains(string(k), ".") }
