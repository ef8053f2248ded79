package diaphone

import (
	"strings"
	"time"
)

// ChannelSettings are an app's choices for its channels and sockets. The zero
// value means the defaults.
type ChannelSettings struct {
	// ClientEvents lets sockets send client- events to each other. Off by default,
	// as hosted Pusher has it: what is sent so passes no backend.
	ClientEvents bool
	// SubscriptionCount tells the subscribers of a channel how many they are. Off
	// by default: it costs every subscriber a frame for each who comes or goes.
	SubscriptionCount bool
	// NoWatchlist ignores the watchlist of a user who signs in. Heeded by default,
	// though hosted Pusher wants a switch turned first: a list is there only when
	// the app's own backend has put it into what it signed.
	NoWatchlist bool
	// TLSOnly turns sockets away that come neither over TLS nor through a trusted
	// proxy that says it has it.
	TLSOnly bool
	// Origins are the web origins whose pages may connect; none: all. See Admits.
	Origins []Origin
	// AuthoriseWithin is how long a connection may neither sign in nor enter a
	// private or presence channel before it is closed; 0: for ever.
	AuthoriseWithin time.Duration
	// History says of which channels past events are kept; none: of no channel.
	History []HistoryRule
}

// HistoryRule has the events of some channels kept for those who were away.
type HistoryRule struct {
	Prefix string        // of the channels; empty: all
	Events int           // of each channel, at most; default DefaultHistoryEvents
	For    time.Duration // and for so long; default DefaultHistoryFor
}

// The defaults of a HistoryRule bridge a phone's way through a tunnel.
const (
	DefaultHistoryEvents = 100
	DefaultHistoryFor    = 5 * time.Minute
)

// HistoryOf gives the rule of a channel, the one with the longest prefix, with its
// defaults filled in; ok is false when there is none.
func (s *ChannelSettings) HistoryOf(c ChannelName) (rule HistoryRule, ok bool) {
	for _, r := range s.History {
		if strings.HasPrefix(string(c), r.Prefix) && (!ok || len(r.Prefix) > len(rule.Prefix)) {
			rule, ok = r, true
		}
	}
	rule.Events = inForce(rule.Events, DefaultHistoryEvents)
	if rule.For <= 0 {
		rule.For = DefaultHistoryFor
	}
	return rule, ok
}

// Limits of one app. The zero value means the defaults.
type Limits struct {
	EventBytes      int // bytes of an event's data; default DefaultEventBytes
	Connections     int // open sockets; 0: no limit
	PresenceMembers int // users in one presence channel; default DefaultPresenceMembers
	Channels        int // that one connection is in at a time; default DefaultChannels
	ClientEvents    int // a second from one connection; default DefaultClientEvents
	UserInfo        int // bytes of a presence member's user_info; default DefaultUserInfo
	Messages        int // of any kind, a second from one connection; default DefaultMessages
	Publishes       int // events and messages a second from the app's backends; 0: no limit
	Pending         int // deliveries that wait in the queue; default DefaultPending
	Scheduled       int // messages that wait for their time; default DefaultScheduled
	Enrolments      int // devices that installations at one address make a minute; default DefaultEnrolments
	DeviceCalls     int // a minute that one installation makes for its device; default DefaultDeviceCalls
	Devices         int // registered, in all; 0: no limit
}

// The defaults are Pusher's limits (https://pusher.com/docs/channels), but for
// those of channels and messages, where hosted Pusher bills for what it costs, and of
// devices, which it does not have. Those of what waits keep one app from filling the
// disk of all.
const (
	DefaultEventBytes      = 10 * 1024
	DefaultPresenceMembers = 100
	DefaultChannels        = 1000
	DefaultClientEvents    = 10
	DefaultUserInfo        = 1024
	DefaultMessages        = 100
	DefaultPending         = 5_000_000
	DefaultScheduled       = 100_000
	DefaultEnrolments      = 300 // a carrier has thousands of phones behind one address
	DefaultDeviceCalls     = 60
)

// MaxEventBytes gives the limit in force.
func (l Limits) MaxEventBytes() int { return inForce(l.EventBytes, DefaultEventBytes) }

// MaxPresenceMembers gives the limit in force.
func (l Limits) MaxPresenceMembers() int { return inForce(l.PresenceMembers, DefaultPresenceMembers) }

// MaxChannels gives the limit in force.
func (l Limits) MaxChannels() int { return inForce(l.Channels, DefaultChannels) }

// MaxClientEvents gives the limit in force.
func (l Limits) MaxClientEvents() int { return inForce(l.ClientEvents, DefaultClientEvents) }

// MaxUserInfo gives the limit in force.
func (l Limits) MaxUserInfo() int { return inForce(l.UserInfo, DefaultUserInfo) }

// MaxMessages gives the limit in force.
func (l Limits) MaxMessages() int { return inForce(l.Messages, DefaultMessages) }

// MaxPending gives the limit in force.
func (l Limits) MaxPending() int { return inForce(l.Pending, DefaultPending) }

// MaxScheduled gives the limit in force.
func (l Limits) MaxScheduled() int { return inForce(l.Scheduled, DefaultScheduled) }

// MaxEnrolments gives the limit in force.
func (l Limits) MaxEnrolments() int { return inForce(l.Enrolments, DefaultEnrolments) }

// MaxDeviceCalls gives the limit in force.
func (l Limits) MaxDeviceCalls() int { return inForce(l.DeviceCalls, DefaultDeviceCalls) }

func inForce(limit, otherwise int) int {
	if limit > 0 {
		return limit
	}
	return otherwise
}
