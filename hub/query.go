package hub

import (
	"time"

	"github.com/diaphone-dev/diaphone"
)

// ChannelInfo is what is known of a channel that somebody is in.
type ChannelInfo struct {
	Name     diaphone.ChannelName
	Sessions int // subscribed
	Members  int // distinct users; presence channels only
}

// Channel looks at one channel; ok is false when nobody is in it.
func (h *Hub) Channel(app diaphone.AppID, name diaphone.ChannelName) (info ChannelInfo, ok bool) {
	r := h.room(app, name)
	if r == nil {
		return ChannelInfo{}, false
	}
	info = r.info()
	return info, info.Sessions > 0
}

// Channels lists the channels that somebody is in, but for users' own, in the order
// of their names: those with the prefix that come behind after, at most so many (0:
// all). next is what to go on behind; it is empty at the end of the list.
func (h *Hub) Channels(app diaphone.AppID, prefix string, after diaphone.ChannelName, most int) (found []ChannelInfo, next diaphone.ChannelName) {
	t := h.tenant(app)
	if t == nil {
		return nil, ""
	}
	rooms, more := t.rooms.page(prefix, after, most)
	for _, r := range rooms {
		if info := r.info(); info.Sessions > 0 { // else the last has left since
			found = append(found, info)
		}
	}
	if more {
		next = rooms[len(rooms)-1].name
	}
	return found, next
}

// Members lists who is in a presence channel, in the order they came.
func (h *Hub) Members(app diaphone.AppID, name diaphone.ChannelName) []Member {
	r := h.room(app, name)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster()
}

// UserInfo is how a user is live.
type UserInfo struct {
	SignedIn int // sessions that are signed in as the user
	Present  int // presence channels that have the user as a member
}

// User looks at one user; nobody is unknown.
func (h *Hub) User(app diaphone.AppID, user diaphone.UserID) UserInfo {
	t := h.tenant(app)
	if t == nil {
		return UserInfo{}
	}
	t.people.mu.RLock()
	defer t.people.mu.RUnlock()
	who := t.people.byID[user]
	if who == nil {
		return UserInfo{}
	}
	return UserInfo{SignedIn: len(who.signed), Present: who.present}
}

// Cached gives the last event of a cache channel and how long it will be kept yet.
func (h *Hub) Cached(app diaphone.AppID, c diaphone.ChannelName) (e diaphone.Event, left time.Duration, ok bool) {
	t := h.tenant(app)
	if t == nil {
		return diaphone.Event{}, 0, false
	}
	s, now := t.shelves.of(c), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.get(c, now)
	if k == nil {
		return diaphone.Event{}, 0, false
	}
	return *k.event, k.until.Sub(now), true
}

// Position is where the history of a channel stands; ok is false when the app keeps
// none of it.
func (h *Hub) Position(app *diaphone.App, c diaphone.ChannelName) (p diaphone.Position, ok bool) {
	if _, ok := app.Channels.HistoryOf(c); !ok {
		return p, false
	}
	s := h.tenantOf(app).shelves.of(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.past.head(), true
}

func (h *Hub) room(app diaphone.AppID, name diaphone.ChannelName) *room {
	t := h.tenant(app)
	if t == nil {
		return nil
	}
	return t.rooms.room(name)
}

func (r *room) info() ChannelInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ChannelInfo{Name: r.name, Sessions: len(r.seats), Members: len(r.members)}
}
