package hub

import (
	"strings"
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// table finds rooms by name. Its lock is taken behind those of rooms and shelves,
// and only people's behind it.
type table struct {
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

func (t *table) withPrefix(prefix string) []*room {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var found []*room
	for name, r := range t.byName {
		if strings.HasPrefix(string(name), prefix) {
			found = append(found, r)
		}
	}
	return found
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byName)
}
