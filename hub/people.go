package hub

import (
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// people are the users of one app who are here, and how. Its lock is taken last.
type people struct {
	mu   sync.RWMutex
	byID map[diaphone.UserID]*person
}

type person struct {
	signed  map[*Session]struct{} // sessions signed in as this user
	present int                   // presence channels that have the user as a member
}

func (p *people) change(u diaphone.UserID, change func(*person)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byID[u]
	if who == nil {
		who = &person{signed: map[*Session]struct{}{}}
		p.byID[u] = who
	}
	change(who)
	if len(who.signed) == 0 && who.present == 0 {
		delete(p.byID, u)
	}
}

// online tells whether a session is signed in as the user.
func (t *tenant) online(u diaphone.UserID) bool {
	t.people.mu.RLock()
	defer t.people.mu.RUnlock()
	who := t.people.byID[u]
	return who != nil && len(who.signed) > 0
}

func (t *tenant) signedIn(u diaphone.UserID) []*Session {
	t.people.mu.RLock()
	defer t.people.mu.RUnlock()
	who := t.people.byID[u]
	if who == nil {
		return nil
	}
	all := make([]*Session, 0, len(who.signed))
	for s := range who.signed {
		all = append(all, s)
	}
	return all
}
