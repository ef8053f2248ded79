package hub

import (
	"container/list"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// maxReplay is how many bytes one connection is sent of the past, in all: half of
// what may wait for a slow peer, so that catching up does not end it. Who has missed
// more can read on over HTTP, page by page.
const maxReplay = 128 << 10

// maxQuiet is of how many channels of one shelf it is remembered, although none of
// their events is left, up to where they had some.
const maxQuiet = 2048

// chronicle is the history of the channels of one shelf, under the shelf's lock.
//
// All its channels count on in one series. So a channel that never had an event
// costs nothing, and yet who knows it up to a serial is known to have missed none.
// In doubt, for want of room to remember, somebody is told that there may be a gap.
type chronicle struct {
	epoch  string
	serial uint64 // the last that was given
	floor  uint64 // up to here, events of channels that are not in byName may have been dropped
	bound  int
	bytes  int
	byName map[diaphone.ChannelName]*log
	order  list.List // of *entry, the oldest in front
	quiet  list.List // of *log without entries, the longest so in front
}

// log is the history of one channel.
type log struct {
	channel diaphone.ChannelName
	floor   uint64          // the last that was dropped
	entries []*list.Element // in order; the oldest first
	quiet   *list.Element   // in quiet, while there are no entries
}

type entry struct {
	diaphone.PastEvent
	log   *log
	until time.Time
}

func (e *entry) size() int {
	return overhead + len(e.log.channel) + len(e.Event.Name) + len(e.Event.Data)
}

// put gives the event its position and keeps it.
func (h *chronicle) put(c diaphone.ChannelName, e *diaphone.Event, rule diaphone.HistoryRule, now time.Time) {
	h.serial++
	e.Position = diaphone.Position{Epoch: h.epoch, Serial: h.serial}
	l := h.logOf(c)
	kept := &entry{PastEvent: diaphone.PastEvent{Event: e, At: now}, log: l, until: now.Add(rule.For)}
	l.entries = append(l.entries, h.order.PushBack(kept))
	h.bytes += kept.size()
	for len(l.entries) > rule.Events {
		h.drop(l.entries[0])
	}
	for front := h.order.Front(); front != nil; front = h.order.Front() {
		if h.bytes <= h.bound && now.Before(front.Value.(*entry).until) {
			break
		}
		h.drop(front)
	}
}

// logOf gives the log of a channel that is about to have an entry.
func (h *chronicle) logOf(c diaphone.ChannelName) *log {
	l := h.byName[c]
	switch {
	case l == nil:
		l = &log{channel: c, floor: h.floor}
		if h.byName == nil {
			h.byName = map[diaphone.ChannelName]*log{}
		}
		h.byName[c] = l
	case l.quiet != nil:
		h.quiet.Remove(l.quiet)
		l.quiet = nil
	}
	return l
}

// drop forgets an entry, which is the oldest of its channel.
func (h *chronicle) drop(e *list.Element) {
	gone := h.order.Remove(e).(*entry)
	h.bytes -= gone.size()
	l := gone.log
	l.floor = gone.Event.Position.Serial
	l.entries[0] = nil
	if l.entries = l.entries[1:]; len(l.entries) > 0 {
		return
	}
	l.quiet, l.entries = h.quiet.PushBack(l), nil
	if h.quiet.Len() > maxQuiet {
		forgotten := h.quiet.Remove(h.quiet.Front()).(*log)
		delete(h.byName, forgotten.channel)
		h.floor = max(h.floor, forgotten.floor)
	}
}

// head is where all its channels stand.
func (h *chronicle) head() diaphone.Position {
	return diaphone.Position{Epoch: h.epoch, Serial: h.serial}
}

// since gives what a channel has had after a position. most bounds the number of
// events; with fewer than there are, the answer is complete as far as it goes.
func (h *chronicle) since(c diaphone.ChannelName, p diaphone.Position, most int, now time.Time) diaphone.Past {
	past := diaphone.Past{Position: h.head()}
	floor := h.floor
	if l := h.byName[c]; l != nil {
		for len(l.entries) > 0 && !now.Before(l.entries[0].Value.(*entry).until) {
			h.drop(l.entries[0])
		}
		floor = l.floor
		for _, e := range l.entries {
			kept := e.Value.(*entry)
			if p.Epoch == h.epoch && kept.Event.Position.Serial <= p.Serial {
				continue
			}
			if len(past.Events) == most {
				past.Position = past.Events[most-1].Event.Position
				break
			}
			past.Events = append(past.Events, kept.PastEvent)
		}
	}
	past.Complete = p.Epoch == h.epoch && p.Serial >= floor && p.Serial <= h.serial
	return past
}

// Past gives what a channel has had after a position, or all that is kept when it
// is of another epoch; at most so many events. ok is false when the app keeps no
// history of the channel.
func (h *Hub) Past(app *diaphone.App, c diaphone.ChannelName, since diaphone.Position, most int) (past diaphone.Past, ok bool) {
	if _, ok := app.Channels.HistoryOf(c); !ok {
		return past, false
	}
	s := h.tenantOf(app).shelves.of(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.past.since(c, since, most, time.Now()), true
}

// catchUp writes what goes right behind the answer to a subscription; missed says
// that a cache had nothing for it. kept.mu is held.
func (s *Session) catchUp(kept *shelf, c diaphone.ChannelName, since *diaphone.Position) (after *sockets.Frame, missed bool) {
	now := time.Now()
	var frames []*sockets.Frame
	if since != nil {
		past := s.missed(kept, c, *since, now)
		frames = append(frames, s.protocol.Resumed(c, past.Position, past.Complete))
		for _, e := range past.Events {
			frames = append(frames, s.protocol.Event(c, e.Event))
		}
		if past.Complete {
			return sockets.Join(frames...), false
		}
	}
	if c.IsCache() {
		if k := kept.get(c, now); k != nil {
			frames = append(frames, s.protocol.Event(c, k.event))
		} else {
			frames, missed = append(frames, s.protocol.Missed(c)), true
		}
	}
	return sockets.Join(frames...), missed
}

// missed is what the session is sent of the past: all since the position, or nothing.
func (s *Session) missed(kept *shelf, c diaphone.ChannelName, since diaphone.Position, now time.Time) diaphone.Past {
	rule, ok := s.app.Channels.HistoryOf(c)
	if !ok {
		return diaphone.Past{}
	}
	past := kept.past.since(c, since, rule.Events, now)
	bytes := 0
	for _, e := range past.Events {
		bytes += 2*len(c) + len(e.Event.Name) + len(e.Event.Data) + overhead // the channel is in the position too
	}
	if s.replayed+bytes > maxReplay {
		past.Complete = false
	}
	if !past.Complete {
		past.Events = nil
		return past
	}
	s.replayed += bytes
	return past
}

// newEpoch makes a name that no other run of the hub has had.
func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
