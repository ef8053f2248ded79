package diaphone

import "time"

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
	// Origins are the web origins whose pages may connect; none: all. See Admits.
	Origins []Origin
	// AuthoriseWithin is how long a connection may neither sign in nor enter a
	// private or presence channel before it is closed; 0: for ever.
	AuthoriseWithin time.Duration
}

// Limits of one app. The zero value means the defaults.
type Limits struct {
	EventBytes      int // bytes of an event's data; default DefaultEventBytes
	Connections     int // open sockets; 0: no limit
	PresenceMembers int // users in one presence channel; default DefaultPresenceMembers
	Channels        int // that one connection is in at a time; default DefaultChannels
	ClientEvents    int // a second from one connection; default DefaultClientEvents
}

// The defaults are Pusher's limits (https://pusher.com/docs/channels), but for
// DefaultChannels: hosted Pusher has none there, and bills for what it costs.
const (
	DefaultEventBytes      = 10 * 1024
	DefaultPresenceMembers = 100
	DefaultChannels        = 1000
	DefaultClientEvents    = 10
)

// MaxEventBytes gives the limit in force.
func (l Limits) MaxEventBytes() int { return inForce(l.EventBytes, DefaultEventBytes) }

// MaxPresenceMembers gives the limit in force.
func (l Limits) MaxPresenceMembers() int { return inForce(l.PresenceMembers, DefaultPresenceMembers) }

// MaxChannels gives the limit in force.
func (l Limits) MaxChannels() int { return inForce(l.Channels, DefaultChannels) }

// MaxClientEvents gives the limit in force.
func (l Limits) MaxClientEvents() int { return inForce(l.ClientEvents, DefaultClientEvents) }

func inForce(limit, otherwise int) int {
	if limit > 0 {
		return limit
	}
	return otherwise
}
