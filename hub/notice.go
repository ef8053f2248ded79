package hub

import "github.com/diaphone-dev/diaphone"

// notify tells whoever listens of something in the room. What changes the room is
// told with r.mu held; so one thing comes after another, also from this room to the
// one that takes its place, which is opened only when this one has died.
func (r *room) notify(n diaphone.Notice) {
	if r.notice != nil {
		n.Channel = r.name
		r.notice(n)
	}
}

// arrived tells of a seat that has just been taken. r.mu is held.
func (r *room) arrived(taken *seat) {
	if len(r.seats) == 1 {
		r.notify(diaphone.Notice{Kind: diaphone.ChannelOccupied})
	}
	if who := taken.member; who != nil && who.sessions == 1 {
		r.notify(diaphone.Notice{Kind: diaphone.MemberAdded, User: who.User})
	}
}

// departed tells of a seat that has just been freed. r.mu is held.
func (r *room) departed(taken *seat) {
	if who := taken.member; who != nil && who.sessions == 0 {
		r.notify(diaphone.Notice{Kind: diaphone.MemberRemoved, User: who.User})
	}
	if len(r.seats) == 0 {
		r.notify(diaphone.Notice{Kind: diaphone.ChannelVacated})
	}
}

// emit is take for a letter of a session that is in the room, which therefore
// lives, and tells of it.
func (r *room) emit(l *letter, n diaphone.Notice) (first, behind bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify(n)
	first = r.add(l)
	return first, len(r.letters) >= queueSize
}
