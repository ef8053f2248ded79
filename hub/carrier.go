package hub

import "github.com/diaphone-dev/diaphone/sockets"

// carrier is what one turn works with. Letters that come meanwhile are for the
// next turn; the gate keeps the others where they are.
type carrier struct {
	round   *round
	letters []*letter
	to      uint64 // behind the number of the last letter
	awaited uint64 // and of the last whose taking is awaited
}

// deliver hands a subscriber all that it lacks, and counts the letters.
func (c *carrier) deliver(s *seat) (sent int) {
	for s.next < c.to {
		from, to := s.next, c.limit(s.next)
		s.next = to
		frame, n := c.frame(s.session, from, to)
		switch {
		case n == 0:
		case from < c.awaited:
			s.session.sendAwaited(frame, c.awaits(s, from, to))
			sent += n
		case s.session.conn.Send(frame) == nil:
			sent += n
		}
	}
	return sent
}

// limit tells how far letters may be joined: one at least.
func (c *carrier) limit(from uint64) (to uint64) {
	bytes := 0
	for to = from; to < c.to && to < from+joinSize; to++ {
		bytes += c.letter(to).size
		if to > from && bytes > joinBytes {
			break
		}
	}
	return to
}

func (c *carrier) letter(number uint64) *letter {
	return c.letters[len(c.letters)-int(c.to-number)]
}

// frame joins letters for a session, without those that are not for it.
func (c *carrier) frame(s *Session, from, to uint64) (*sockets.Frame, int) {
	for i := from; i < to; i++ {
		if c.letter(i).except == s {
			return c.join(s, from, to)
		}
	}
	w := c.round
	for _, j := range w.joined {
		if j.from == from && j.to == to && j.protocol == s.protocol {
			return j.frame, int(to - from)
		}
	}
	f, n := c.join(s, from, to)
	if len(w.joined) == cap(w.joined) { // few are of use for long
		w.joined = make([]joined, 0, 4)
	}
	w.joined = append(w.joined, joined{s.protocol, from, to, f})
	return f, n
}

// join is frame without the memory of what was joined before.
func (c *carrier) join(s *Session, from, to uint64) (*sockets.Frame, int) {
	frames := make([]*sockets.Frame, 0, to-from)
	for i := from; i < to; i++ {
		if l := c.letter(i); l.except != s {
			frames = append(frames, l.frame(s.protocol))
		}
	}
	if len(frames) == 0 {
		return nil, 0
	}
	return sockets.Join(frames...), len(frames)
}

// awaits are the proofs that a subscriber's taking of some letters would give.
func (c *carrier) awaits(s *seat, from, to uint64) (all []proof) {
	user := s.user()
	if user == "" {
		return nil
	}
	for i := from; i < to; i++ {
		if l := c.letter(i); l.awaited != nil && l.except != s.session {
			all = append(all, proof{l.awaited, user})
		}
	}
	return all
}
