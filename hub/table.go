package hub

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// table finds rooms by name. Its lock is taken behind those of rooms and shelves,
// and only people's behind it.
type table struct {
	notice func(diaphone.Notice) // hears what happens in the rooms; nil: nobody listens
	mu     sync.RWMutex
	byName map[diaphone.ChannelName]*room
}

func (t *table) room(name diaphone.ChannelName) *room {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

// open gives the room of a name, a new one if there is none that lives.
func (t *table) open(name diaphone.ChannelName) *room {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = map[diaphone.ChannelName]*room{}
	}
	r := t.byName[name]
	if r == nil || r.dead.Load() {
		r = &room{name: name, table: t}
		if _, reserved := name.User(); !reserved {
			r.notice = t.notice
		}
		t.byName[name] = r
	}
	return r
}

// forget drops a dead room, unless another has taken its place.
func (t *table) forget(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[r.name] == r {
		delete(t.byName, r.name)
	}
}

// vacate gives up a room that was opened and then not entered.
func (t *table) vacate(r *room) {
	r.mu.Lock()
	r.retire()
	r.mu.Unlock()
	if r.dead.Load() {
		t.forget(r)
	}
}

// page gives the rooms of the first names with the prefix behind after, in order, at
// most so many (0: all), but for users' own. more: there are others behind them. It
// looks at every name while it holds the lock, so it keeps and sorts few of them.
func (t *table) page(prefix string, after diaphone.ChannelName, most int) (found []*room, more bool) {
	trim := func() {
		slices.SortFunc(found, func(a, b *room) int { return cmp.Compare(a.name, b.name) })
		if most > 0 && len(found) > most {
			found, more = found[:most], true
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for name, r := range t.byName {
		if more && name > found[most-1].name { // those that are sorted stand in front
			continue
		}
		if _, own := name.User(); own || name <= after || !strings.HasPrefix(string(name), prefix) {
			continue
		}
		if found = append(found, r); len(found) == 2*most {
			trim()
		}
	}
	trim()
	return found, more
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byName)
}
