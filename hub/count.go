package hub

import (
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// Subscribers of a large channel hear at most so often how many they are (Pusher
// Channels, "subscription count events"): else a channel of ten thousand that all
// reconnect would send a hundred million frames.
const (
	largeChannel = 100
	countEvery   = 5 * time.Second
)

// tally is what has been told of a room's size. It is guarded by room.mu.
type tally struct {
	told    time.Time // the last time
	changed bool      // since then
	waiting bool      // a time to tell it is set
}

// counts tells whether the subscribers of a channel hear how many they are. Those
// of a presence channel know already, and a user's own channel is nobody's crowd.
func counts(app *diaphone.App, c diaphone.ChannelName) bool {
	_, reserved := c.User()
	return app.Channels.SubscriptionCount && !c.IsPresence() && !reserved
}

// recount has a change of the room's size told, now or when it is time. r.mu is held.
func (r *room) recount(h *Hub) (first bool) {
	r.tally.changed = true
	since := time.Since(r.tally.told)
	if len(r.seats) <= largeChannel || since >= countEvery {
		return r.tell()
	}
	if !r.tally.waiting {
		r.tally.waiting = true
		h.later.after(countEvery-since, func() { h.wake(r, r.tellLate()) })
	}
	return false
}

func (r *room) tellLate() (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.waiting = false
	return r.tally.changed && !r.dead.Load() && r.tell()
}

// tell queues the number of subscribers as it is. r.mu is held.
func (r *room) tell() (first bool) {
	r.tally.told, r.tally.changed = time.Now(), false
	n := len(r.seats)
	r.notify(diaphone.Notice{Kind: diaphone.SubscriptionCount, Count: n})
	return r.add(&letter{encode: func(p Protocol) *sockets.Frame { return p.Count(r.name, n) }})
}
