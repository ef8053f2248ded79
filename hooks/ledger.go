package hooks

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Times and bounds of what is told.
const (
	// grace is how long somebody must have been gone to be told as gone (Pusher
	// Channels, "webhooks": up to three seconds).
	grace = 3 * time.Second
	// missEvery is how often the same cache may be told as empty at most: whoever
	// comes while the backend is still filling it misses too.
	missEvery = time.Second
	// Of one app, and of what is no state (client events, cache misses), for as long
	// as the store does not take it. More is dropped and counted.
	maxWaiting      = 10_000
	maxWaitingBytes = 8 << 20
)

// ledger is what the webhooks of one app are to be told. Who is where is state, not
// news: the ledger knows how it is and how it has been told, and the difference is
// what waits. So a flap tells nothing, and what waits is bounded by what there is.
type ledger struct {
	app *diaphone.App

	mu       sync.Mutex
	held     bool // nobody is told as gone
	channels map[diaphone.ChannelName]*channel
	leaving  list.List // of *level, who has gone; none is told as gone before those in front
	waiting  []entry
	loose    int // entries that are no state
	bytes    int // and about their bytes
}

// channel is one that is occupied, or told as occupied.
type channel struct {
	level
	members map[diaphone.UserID]*level
	count   *diaphone.Notice // how many subscribe, while that waits to be told
	missed  time.Time        // when its cache was last told as empty
}

// level is one thing that is so or not: that a channel is occupied, that a user is
// a member of it.
type level struct {
	stand   storage.Stand
	up      bool          // it is so, or was within the grace: so it should be told
	told    bool          // it has been told so
	waits   bool          // it is in waiting
	due     time.Time     // when it is told as gone
	leaving *list.Element // in leaving, while it is not so and not due
}

// entry is what waits to be told: the state of a level as it will be then, or a notice.
type entry struct {
	level  *level
	notice *diaphone.Notice
}

func newLedger(app *diaphone.App) *ledger {
	return &ledger{app: app, channels: map[diaphone.ChannelName]*channel{}}
}

// stood takes over what was told before the start. Whoever is not there again at the
// given time will be told as gone; channels come behind their members. Until then
// whoever leaves again waits behind those.
func (l *ledger) stood(all []storage.Stand, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range all {
		l.channel(s.Channel) // there is one for every member, whatever was kept
	}
	for _, s := range all {
		if s.User != "" {
			l.stoodOne(l.channel(s.Channel).member(s.User), due)
		}
	}
	for _, s := range all {
		if s.User == "" {
			l.stoodOne(&l.channel(s.Channel).level, due)
		}
	}
}

func (l *ledger) stoodOne(v *level, due time.Time) {
	v.up, v.told = true, true
	l.leave(v, due)
}

// note takes in what happens. It is called in the order in which it happens in each
// channel. dropped: there is no room for the notice.
func (l *ledger) note(n *diaphone.Notice, now time.Time) (dropped bool) {
	if isLoose(n.Kind) && !wants(l.app, n.Kind, n.Channel) {
		return false // it need not take the room of what somebody wants to hear
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !n.Kind.OfChannels() {
		return l.add(n)
	}
	c := l.channel(n.Channel)
	switch n.Kind {
	case diaphone.ChannelOccupied:
		l.rise(&c.level)
	case diaphone.ChannelVacated:
		l.leave(&c.level, now.Add(grace))
	case diaphone.MemberAdded:
		l.rise(c.member(n.User))
	case diaphone.MemberRemoved:
		l.leave(c.member(n.User), now.Add(grace))
	case diaphone.SubscriptionCount:
		l.counted(c, n)
	case diaphone.CacheMiss:
		if !c.missed.IsZero() && now.Sub(c.missed) < missEvery {
			return false
		}
		if dropped = l.add(n); !dropped {
			c.missed = now
		}
	case diaphone.ClientEvent:
		dropped = l.add(n)
	}
	return dropped
}

// isLoose tells whether a kind is no state that begins and ends.
func isLoose(k diaphone.NoticeKind) bool {
	return k == diaphone.ClientEvent || k == diaphone.CacheMiss || k == diaphone.SubscriptionCount || !k.OfChannels()
}

func (l *ledger) channel(name diaphone.ChannelName) *channel {
	c := l.channels[name]
	if c == nil {
		c = &channel{level: level{stand: storage.Stand{App: l.app.ID, Channel: name}}}
		l.channels[name] = c
	}
	return c
}

func (c *channel) member(u diaphone.UserID) *level {
	m := c.members[u]
	if m == nil {
		m = &level{stand: storage.Stand{App: c.stand.App, Channel: c.stand.Channel, User: u}}
		if c.members == nil {
			c.members = map[diaphone.UserID]*level{}
		}
		c.members[u] = m
	}
	return m
}

func (l *ledger) rise(v *level) {
	v.up = true
	if v.leaving != nil {
		l.leaving.Remove(v.leaving)
		v.leaving = nil
	}
	l.compare(v)
}

// leave has a level told as gone when it is due, unless it rises again.
func (l *ledger) leave(v *level, due time.Time) {
	v.due, v.leaving = due, l.leaving.PushBack(v)
}

// compare has a level told if it has changed.
func (l *ledger) compare(v *level) {
	if v.up != v.told && !v.waits {
		v.waits = true
		l.waiting = append(l.waiting, entry{level: v})
	}
}

// counted has the number of subscribers told; of those that wait, the last counts.
func (l *ledger) counted(c *channel, n *diaphone.Notice) {
	if c.count != nil {
		c.count.Count = n.Count
		return
	}
	c.count = n
	l.waiting = append(l.waiting, entry{notice: n})
}

// add has a notice told that is no state, if there is room for it.
func (l *ledger) add(n *diaphone.Notice) (dropped bool) {
	if l.loose >= maxWaiting || l.bytes+weight(n) > maxWaitingBytes {
		return true
	}
	l.loose++
	l.bytes += weight(n)
	l.waiting = append(l.waiting, entry{notice: n})
	return false
}

// weight is about what a notice takes in memory.
func weight(n *diaphone.Notice) int { return 256 + len(n.Channel) + len(n.Event) + len(n.Data) }

// hold keeps everybody who goes from now on from being told as gone.
func (l *ledger) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

// change is one thing to tell; with a stand, it says that this begins or ends.
type change struct {
	notice diaphone.Notice
	stand  *storage.Stand
}

// take gives all that is to be told now, in order, and says when somebody else will
// have been gone for long enough; zero: nobody is going.
func (l *ledger) take(now time.Time) (told []change, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.expire(now)
	for _, e := range l.waiting {
		if e.level != nil {
			told = l.tell(told, e.level)
		} else if e.notice.Kind != diaphone.SubscriptionCount || l.current(e.notice) {
			told = append(told, change{notice: *e.notice})
		}
	}
	l.waiting, l.loose, l.bytes = nil, 0, 0
	return told, next
}

// expire takes note of who has been gone for long enough, and says when the next
// will have been.
func (l *ledger) expire(now time.Time) (next time.Time) {
	for front := l.leaving.Front(); front != nil && !l.held; front = l.leaving.Front() {
		v := front.Value.(*level)
		if v.due.After(now) {
			return v.due
		}
		l.leaving.Remove(front)
		v.leaving, v.up = nil, false
		l.compare(v)
		l.tidy(v)
	}
	return time.Time{}
}

// forget is for the time in which nothing can be taken: who has come and gone in it
// need not wait to be told, for nobody knows of it.
func (l *ledger) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(now)
	l.waiting = slices.DeleteFunc(l.waiting, func(e entry) bool {
		v := e.level
		if v == nil {
			return e.notice.Kind == diaphone.SubscriptionCount && !l.channel(e.notice.Channel).up && !l.current(e.notice)
		}
		if v.up || v.told {
			return false
		}
		v.waits = false
		l.tidy(v)
		return true
	})
}

// tell tells a level if it still differs from what has been told.
func (l *ledger) tell(told []change, v *level) []change {
	v.waits = false
	if v.up != v.told {
		v.told = v.up
		told = append(told, change{v.notice(), &v.stand})
	}
	l.tidy(v)
	return told
}

// current takes a count off its channel and tells whether anybody still cares.
func (l *ledger) current(n *diaphone.Notice) bool {
	c := l.channel(n.Channel)
	c.count = nil
	defer l.tidy(&c.level)
	return c.up
}

// notice says how the level is told to be.
func (v *level) notice() diaphone.Notice {
	up, down := kinds(&v.stand)
	kind := down
	if v.told {
		kind = up
	}
	return diaphone.Notice{Kind: kind, Channel: v.stand.Channel, User: v.stand.User}
}

// kinds are those that tell that something stands, and that it does no more.
func kinds(s *storage.Stand) (up, down diaphone.NoticeKind) {
	if s.User == "" {
		return diaphone.ChannelOccupied, diaphone.ChannelVacated
	}
	return diaphone.MemberAdded, diaphone.MemberRemoved
}

// tidy forgets a level that is not so, and of which nobody believes that it is.
func (l *ledger) tidy(v *level) {
	if v.up || v.told || v.waits {
		return
	}
	c := l.channels[v.stand.Channel]
	if v.stand.User != "" {
		delete(c.members, v.stand.User)
	}
	if !c.up && !c.told && !c.waits && len(c.members) == 0 && c.count == nil {
		delete(l.channels, v.stand.Channel)
	}
}
