package hub

import "github.com/diaphone-dev/diaphone"

// ChannelInfo is what is known of a channel that somebody is in.
type ChannelInfo struct {
	Name     diaphone.ChannelName
	Sessions int               // subscribed
	Members  []diaphone.UserID // distinct users, in the order they came; presence channels only
}

// Channel looks at one channel; ok is false when nobody is in it.
func (h *Hub) Channel(app diaphone.AppID, name diaphone.ChannelName) (info ChannelInfo, ok bool) {
	t := h.tenant(app)
	if t == nil {
		return ChannelInfo{}, false
	}
	r := t.rooms.room(name)
	if r == nil {
		return ChannelInfo{}, false
	}
	info = r.info()
	return info, info.Sessions > 0
}

// Channels lists the channels that somebody is in, in no order.
func (h *Hub) Channels(app diaphone.AppID, prefix string) []ChannelInfo {
	t := h.tenant(app)
	if t == nil {
		return nil
	}
	var all []ChannelInfo
	for _, r := range t.rooms.withPrefix(prefix) {
		if info := r.info(); info.Sessions > 0 {
			all = append(all, info)
		}
	}
	return all
}

func (r *room) info() ChannelInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := ChannelInfo{Name: r.name, Sessions: len(r.seats)}
	for _, m := range r.members {
		info.Members = append(info.Members, m.User)
	}
	return info
}
