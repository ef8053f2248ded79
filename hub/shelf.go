package hub

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// CacheTTL is how long the last event of a cache channel is kept at most (Pusher
// Channels, "cache channels"). It goes earlier when the app keeps too much.
const CacheTTL = 30 * time.Minute

// What one app may keep, in bytes, about; and over how many shelves it is spread,
// so that channels do not wait for each other.
const (
	shelfCount = 16
	shelfBytes = 4 << 20
)

// shelf keeps the last event of each of some cache channels, and their history.
//
// Its lock makes one step of keeping an event and posting it, and one of looking
// for it and joining. Without that, an event published beside a subscription could
// come twice, or not at all. It is taken before the locks of tenant and room, and
// nothing waits while it is held.
type shelf struct {
	mu     sync.Mutex
	bound  int
	bytes  int
	byName map[diaphone.ChannelName]*list.Element
	order  list.List // of *keepsake; the one to expire first is in front
	past   chronicle
}

type keepsake struct {
	channel diaphone.ChannelName
	event   *diaphone.Event
	until   time.Time
}

// overhead is about what a keepsake takes beside its texts.
const overhead = 200

func (k *keepsake) size() int {
	return overhead + len(k.channel) + len(k.event.Name) + len(k.event.Data)
}

// put keeps an event in place of the channel's last. s.mu is held.
func (s *shelf) put(c diaphone.ChannelName, e *diaphone.Event, now time.Time) {
	if s.byName == nil {
		s.byName = map[diaphone.ChannelName]*list.Element{}
	}
	if last := s.byName[c]; last != nil {
		s.drop(last)
	}
	k := &keepsake{channel: c, event: e, until: now.Add(CacheTTL)}
	s.byName[c] = s.order.PushBack(k)
	s.bytes += k.size()
	for front := s.order.Front(); s.bytes > s.bound || !now.Before(front.Value.(*keepsake).until); front = s.order.Front() {
		s.drop(front)
		if s.order.Len() == 0 {
			return
		}
	}
}

func (s *shelf) drop(e *list.Element) {
	k := s.order.Remove(e).(*keepsake)
	delete(s.byName, k.channel)
	s.bytes -= k.size()
}

// get gives the channel's last event, or nil. s.mu is held.
func (s *shelf) get(c diaphone.ChannelName, now time.Time) *keepsake {
	found := s.byName[c]
	if found == nil {
		return nil
	}
	if k := found.Value.(*keepsake); now.Before(k.until) {
		return k
	}
	s.drop(found)
	return nil
}

// shelves spread the channels of one app.
type shelves struct {
	seed maphash.Seed
	all  [shelfCount]shelf
}

func newShelves(epoch string) *shelves {
	s := &shelves{seed: maphash.MakeSeed()}
	for i := range s.all {
		s.all[i].bound = shelfBytes
		s.all[i].past = chronicle{epoch: epoch, bound: shelfBytes}
	}
	return s
}

func (s *shelves) of(c diaphone.ChannelName) *shelf {
	return &s.all[maphash.String(s.seed, string(c))%shelfCount]
}

// keeps tells whether events of a channel are kept for those who come later.
func (t *tenant) keeps(c diaphone.ChannelName) bool {
	_, history := t.app.Channels.HistoryOf(c)
	return history || c.IsCache()
}

// keep posts an event to a channel and keeps it for those who come later.
func (h *Hub) keep(t *tenant, c diaphone.ChannelName, o outgoing) {
	s, now := t.shelves.of(c), time.Now()
	e := o.Event
	s.mu.Lock()
	if rule, ok := t.app.Channels.HistoryOf(c); ok {
		s.past.put(c, &e, rule, now)
	}
	if c.IsCache() {
		s.put(c, &e, now)
	}
	o.Event = e
	r := t.rooms.room(c)
	if r == nil {
		s.mu.Unlock()
		return
	}
	first, behind := r.take(o.letter(c))
	s.mu.Unlock()
	h.carry(r, first, behind)
}
