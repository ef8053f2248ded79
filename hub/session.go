package hub

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// Session is one connection of one app. Speak, Join, Leave, Emit, SignIn and End are
// called one at a time, from the callbacks of the connection; everything else is safe
// for concurrent use.
type Session struct {
	hub      *Hub
	app      *diaphone.App
	tenant   *tenant
	conn     *sockets.Conn
	protocol Protocol
	id       diaphone.SocketID
	user     atomic.Pointer[diaphone.UserID] // signed in; nil: not
	proofs   atomic.Pointer[proofs]
	seats    []*seat // few, for most; a map for each would weigh more than the rest
	watching []*seat
	replayed int         // bytes of the past that it was sent
	expiry   *time.Timer // until somebody vouches for the session
}

// Open counts a new connection in under a fresh id. Errors: ErrOverQuota when
// the app's limit (0: none) is reached, ErrDraining.
func (h *Hub) Open(app *diaphone.App, conn *sockets.Conn, p Protocol) (*Session, error) {
	s := &Session{hub: h, app: app, tenant: h.tenantOf(app), conn: conn, protocol: p, id: newSocketID()}
	if err := s.tenant.enter(s, app.Limits.Connections); err != nil {
		return nil, err
	}
	h.open.Add(1)
	// Asked after entering: either Drain finds this session, or it finds Drain.
	if h.draining.Load() {
		s.End()
		return nil, ErrDraining
	}
	return s, nil
}

func (h *Hub) tenantOf(app *diaphone.App) *tenant {
	if t := h.tenant(app.ID); t != nil {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tenants[app.ID] == nil {
		h.tenants[app.ID] = newTenant(app, h)
	}
	return h.tenants[app.ID]
}

// newSocketID makes an id that nobody can guess: it is the nonce of every channel
// signature. 63 bits, for some clients read the halves as signed numbers.
func newSocketID() diaphone.SocketID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	half := func(p []byte) uint64 { return binary.BigEndian.Uint64(p) >> 1 }
	return diaphone.SocketID(fmt.Sprintf("%d.%d", half(b[:8]), half(b[8:])))
}

// ID names the connection to its peer.
func (s *Session) ID() diaphone.SocketID { return s.id }

// User is who the session is signed in as; empty when it is not.
func (s *Session) User() diaphone.UserID {
	if u := s.user.Load(); u != nil {
		return *u
	}
	return ""
}

// Send hands a frame to this connection only. A failed one ends by itself.
func (s *Session) Send(f *sockets.Frame) {
	if s.conn.Send(f) == nil {
		s.hub.sent.Add(1)
	}
}

// Speak has the hub talk to the session in another protocol from now on. It must come
// before the session is in any channel and watches anybody: ErrJoined afterwards.
func (s *Session) Speak(p Protocol) error {
	if len(s.seats) > 0 || len(s.watching) > 0 {
		return ErrJoined
	}
	s.protocol = p
	return nil
}

// Close begins the closing handshake.
func (s *Session) Close(code int, reason string) { s.conn.Close(code, reason) }

// Expire calls end after a while, unless by then the session has signed in, or
// joined a channel that takes a signature: then the app's backend has vouched for
// it. It is called at most once, before any other call from the callbacks.
func (s *Session) Expire(after time.Duration, end func()) { s.expiry = s.hub.later.after(after, end) }

func (s *Session) vouch() {
	if s.expiry != nil {
		s.expiry.Stop()
	}
}

// Joined tells whether the session is in the channel.
func (s *Session) Joined(c diaphone.ChannelName) bool { return s.seatIn(c) >= 0 }

func (s *Session) seatIn(c diaphone.ChannelName) int {
	return slices.IndexFunc(s.seats, func(taken *seat) bool { return taken.room.name == c })
}

// SignIn binds the session to a user for good. Signing in again as the same user
// changes nothing; as another it is ErrOtherUser.
func (s *Session) SignIn(u diaphone.UserID) error {
	switch s.User() {
	case u:
		return nil
	case "":
		s.user.Store(&u)
		s.tenant.people.change(u, func(p *person) { p.signed[s] = struct{}{} })
		s.hub.follow(s.tenant, u)
		s.vouch()
		return nil
	}
	return ErrOtherUser
}

// Join brings the session into a channel, with a member if the channel has
// presence. The session hears Protocol.Subscribed first, then every event
// published from then on; in a cache channel, the last one before comes in between,
// or Protocol.Missed when none is kept. Errors: ErrJoined, ErrFull, ErrTooMany.
func (s *Session) Join(c diaphone.ChannelName, m *Member) error { return s.Resume(c, m, nil) }

// Resume is Join, and gives the session what it has missed since a position (nil:
// it does not ask): Protocol.Resumed goes behind the answer and, if it can be done
// without a gap, every event of the API since then, in order. Events that are live
// follow on, none twice. What the cache has goes only to who could not resume.
func (s *Session) Resume(c diaphone.ChannelName, m *Member, since *diaphone.Position) error {
	if s.Joined(c) {
		return ErrJoined
	}
	if len(s.seats) >= s.app.Limits.MaxChannels() {
		return ErrTooMany
	}
	taken, first, err := s.seat(c, m, since)
	if err != nil {
		return err
	}
	s.seats = append(s.seats, taken)
	if c.NeedsAuth() {
		s.vouch()
	}
	s.hub.wake(taken.room, first)
	return nil
}

// seat takes a seat in the channel's room. What was kept of it goes right behind the
// answer: while that is looked for, nothing is posted.
func (s *Session) seat(c diaphone.ChannelName, m *Member, since *diaphone.Position) (taken *seat, first bool, err error) {
	var after *sockets.Frame
	var missed bool
	if since != nil || c.IsCache() {
		kept := s.tenant.shelves.of(c)
		kept.mu.Lock()
		defer kept.mu.Unlock()
		after, missed = s.catchUp(kept, c, since)
	}
	for {
		r := s.tenant.rooms.open(c)
		taken, first, err := r.join(s, m, after)
		if err != nil {
			s.tenant.rooms.vacate(r)
			return nil, false, err
		}
		if taken != nil {
			if missed {
				r.notify(diaphone.Notice{Kind: diaphone.CacheMiss})
			}
			return taken, first, nil
		}
		// The room died meanwhile; another takes its place.
	}
}

// Emit hands an event of this session to everyone else in a channel that it is in,
// with the member it is there as. ErrNotJoined when the session is not in the channel.
func (s *Session) Emit(c diaphone.ChannelName, e diaphone.Event) error {
	i := s.seatIn(c)
	if i < 0 {
		return ErrNotJoined
	}
	taken := s.seats[i]
	if taken.member != nil {
		e.Sender = taken.member.User
	}
	o := outgoing{Event: e, except: s}
	first, behind := taken.room.emit(o.letter(c), diaphone.Notice{
		Kind: diaphone.ClientEvent, User: e.Sender, Socket: s.id, Event: e.Name, Data: e.Data})
	s.hub.carry(taken.room, first, behind)
	return nil
}

// Leave takes the session out of a channel; nothing of it is heard once Leave has
// returned. ErrNotJoined when it was not in it.
func (s *Session) Leave(c diaphone.ChannelName) error {
	i := s.seatIn(c)
	if i < 0 {
		return ErrNotJoined
	}
	taken := s.seats[i]
	s.seats = slices.Delete(s.seats, i, i+1)
	s.stand(taken)
	return nil
}

func (s *Session) stand(up *seat) {
	r := up.room
	first := r.leave(up)
	if r.dead.Load() {
		r.table.forget(r)
	}
	s.hub.wake(r, first)
}

// End is the session's last act, when its connection has closed.
func (s *Session) End() {
	for _, taken := range s.seats {
		s.stand(taken)
	}
	for _, taken := range s.watching {
		s.stand(taken)
	}
	s.seats, s.watching = nil, nil
	if u := s.User(); u != "" {
		s.tenant.people.change(u, func(p *person) { delete(p.signed, s) })
		s.hub.follow(s.tenant, u)
	}
	s.loseProofs()
	s.vouch() // its timer is of no more use
	s.tenant.exit(s)
	if s.hub.open.Add(-1) == 0 {
		select {
		case s.hub.emptied <- struct{}{}:
		default:
		}
	}
}
