package gateway

import (
	"cmp"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/storage"
)

// Live is what the live side is asked and told, beside the events that it is handed.
// All are required, and none waits for a socket.
type Live struct {
	// Channels gives the occupied channels with the prefix behind after, in order, at
	// most so many, and what to go on behind (empty: the end).
	Channels   func(app diaphone.AppID, prefix string, after diaphone.ChannelName, most int) ([]hub.ChannelInfo, diaphone.ChannelName)
	Channel    func(app diaphone.AppID, c diaphone.ChannelName) (info hub.ChannelInfo, occupied bool)
	Members    func(app diaphone.AppID, c diaphone.ChannelName) []hub.Member
	Cached     func(app diaphone.AppID, c diaphone.ChannelName) (e diaphone.Event, left time.Duration, ok bool)
	Position   func(app *diaphone.App, c diaphone.ChannelName) (p diaphone.Position, ok bool)
	User       func(app diaphone.AppID, u diaphone.UserID) hub.UserInfo
	Remembered func(app diaphone.AppID, m diaphone.MessageID, u diaphone.UserID) hub.Remembered
	Disconnect func(app diaphone.AppID, u diaphone.UserID, code int, reason string) int
	// Confirm notes that a device of a user reports to have a message.
	Confirm func(app diaphone.AppID, m diaphone.MessageID, u diaphone.UserID)
}

// Channel is what is known of a channel, occupied or not.
type Channel struct {
	hub.ChannelInfo
	Cached     *diaphone.Event // the last event of a cache channel, if one is kept
	CachedLeft time.Duration   // and how long it will be kept yet
	History    *History        // nil: the app keeps none of the channel
}

// History is what is kept of a channel, and where it stands.
type History struct {
	Rule     diaphone.HistoryRule
	Position diaphone.Position
}

// Channels gives a page of the channels that somebody listens to, in the order of
// their names; users' own are not among them.
func (g *Gateway) Channels(app *diaphone.App, prefix string, page storage.Page) ([]hub.ChannelInfo, string, error) {
	if prefix != "" {
		if err := diaphone.ChannelName(prefix).Validate(); err != nil {
			return nil, "", diaphone.InvalidField("/prefix", "malformed", "no channel has a name that begins with this: %s", detailOf(err))
		}
	}
	list := cursor("channels")
	after, err := list.parse(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	found, next := g.parts.Live.Channels(app.ID, prefix, diaphone.ChannelName(after), page.Limit)
	return found, list.text(string(next)), nil
}

// Channel looks at one channel. One that nobody is in is not unknown: any legal name
// is a channel.
func (g *Gateway) Channel(app *diaphone.App, c diaphone.ChannelName) Channel {
	var found Channel
	found.ChannelInfo, _ = g.parts.Live.Channel(app.ID, c)
	found.Name = c
	if e, left, ok := g.parts.Live.Cached(app.ID, c); ok {
		found.Cached, found.CachedLeft = &e, left
	}
	if position, ok := g.parts.Live.Position(app, c); ok {
		rule, _ := app.Channels.HistoryOf(c)
		found.History = &History{Rule: rule, Position: position}
	}
	return found
}

// Members gives a page of those who are in a presence channel, in the order of their
// ids, so that the pages hold while people come and go. NotFound for a channel that
// has no members by its kind.
func (g *Gateway) Members(app *diaphone.App, c diaphone.ChannelName, page storage.Page) ([]hub.Member, string, error) {
	if !c.IsPresence() {
		err := diaphone.Errorf(diaphone.NotFound, "channel %q has no members", c)
		err.Hint = "members are known of channels whose names begin with " + diaphone.PrefixPresence
		return nil, "", err
	}
	list := cursor("members of " + string(c))
	after, err := list.parse(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	all := g.parts.Live.Members(app.ID, c)
	all = slices.DeleteFunc(all, func(m hub.Member) bool { return string(m.User) <= after })
	slices.SortFunc(all, func(a, b hub.Member) int { return cmp.Compare(a.User, b.User) })
	if len(all) <= page.Limit {
		return all, "", nil
	}
	all = all[:page.Limit]
	return all, list.text(string(all[page.Limit-1].User)), nil
}

// User tells how a user is live. Users are not registered, so none is unknown.
func (g *Gateway) User(app diaphone.AppID, u diaphone.UserID) hub.UserInfo {
	return g.parts.Live.User(app, u)
}

// closeUnauthorised is Pusher's "connection not authorised": the client does not come
// back by itself.
const closeUnauthorised = 4009

// Disconnect ends every connection that is signed in as the user, and tells how many
// there were. Connections that are only members of a channel as this user stay, as on
// hosted Pusher: nobody has vouched for them beyond the channel.
func (g *Gateway) Disconnect(app diaphone.AppID, u diaphone.UserID) int {
	return g.parts.Live.Disconnect(app, u, closeUnauthorised, "terminated by the app")
}
