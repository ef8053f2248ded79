package hub

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

// Protocol writes what the hub has to say as frames of one wire protocol. It is
// an interface because the writers live one floor up, in the doors. Values are
// compared with ==; methods are called concurrently, and an event is written
// once for all its receivers of one Protocol.
type Protocol interface {
	Event(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame
	// Subscribed tells a session that it is in. The roster has the members in the
	// order they came, the new one included; it is nil unless the channel has presence.
	Subscribed(c diaphone.ChannelName, roster []Member) *sockets.Frame
	// Missed tells it, in a cache channel, that no event is kept.
	Missed(c diaphone.ChannelName) *sockets.Frame
	// Resumed tells it how its wish to resume has ended: with complete, all that it
	// has missed follows; else it must look elsewhere for what was before position.
	Resumed(c diaphone.ChannelName, position diaphone.Position, complete bool) *sockets.Frame
	MemberAdded(c diaphone.ChannelName, m Member) *sockets.Frame
	MemberRemoved(c diaphone.ChannelName, u diaphone.UserID) *sockets.Frame
	// Count tells the subscribers how many they are.
	Count(c diaphone.ChannelName, n int) *sockets.Frame
	// ReceiptWanted goes right behind an event whose message waits for a receipt.
	ReceiptWanted(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame
	// Watchlist tells which of the users that a session watches are online, or have
	// come and gone.
	Watchlist(online, offline []diaphone.UserID) *sockets.Frame
}

// Member is a user who is present in a channel, however many sessions that takes.
type Member struct {
	User diaphone.UserID
	Info []byte // what the backend said of the user when the first session came; JSON
}

// Config of a hub. Zero values mean the defaults.
type Config struct {
	Sockets sockets.Config
	// Notice hears what happens in the channels of apps that have webhooks, of one
	// channel in the order in which it happens; the notice has neither an id nor a
	// time. It is called under the locks of rooms and concurrently, so it must be
	// quick and must not call the hub. nil: nobody listens.
	Notice func(app *diaphone.App, n diaphone.Notice)
}

// Refusals of a session's wishes.
var (
	ErrOverQuota = errors.New("hub: the app has as many connections as it may")
	ErrDraining  = errors.New("hub: going down")
	ErrJoined    = errors.New("hub: already in the channel")
	ErrNotJoined = errors.New("hub: not in the channel")
	ErrFull      = errors.New("hub: the channel has as many members as it may")
	ErrTooMany   = errors.New("hub: in as many channels as one connection may")
	ErrOtherUser = errors.New("hub: signed in as another user")
)

// Hub is safe for concurrent use. New starts no goroutine.
type Hub struct {
	engine   *sockets.Engine
	epoch    string // of all positions that this hub gives
	notice   func(*diaphone.App, diaphone.Notice)
	ready    ready
	later    later
	sent     atomic.Uint64
	awaiting awaiting
	open     atomic.Int64 // sessions
	draining atomic.Bool
	emptied  chan struct{} // hears when open falls to 0

	mu      sync.RWMutex
	tenants map[diaphone.AppID]*tenant
}

// New builds a hub with its socket engine.
func New(c Config) *Hub {
	h := &Hub{
		engine:  sockets.New(c.Sockets),
		epoch:   newEpoch(),
		notice:  c.Notice,
		emptied: make(chan struct{}, 1),
		tenants: map[diaphone.AppID]*tenant{},
	}
	h.ready.cond.L = &h.ready.mu
	return h
}

// Engine is where doors upgrade their requests.
func (h *Hub) Engine() *sockets.Engine { return h.engine }

// Run carries events out until ctx ends, then closes all sockets and returns
// when every goroutine of the hub and its connections has returned.
func (h *Hub) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(h.work)
	}
	err := h.engine.Run(ctx)
	h.later.stop()
	h.ready.stop()
	workers.Wait()
	return err
}

// Publish hands an event to everyone in the channels but e.ExceptSocket. It never
// waits for a socket. Events of one caller reach each channel's subscribers in order.
// Where the channel has a cache or the app wants a history, it is kept for those who
// come later, whoever they are.
func (h *Hub) Publish(app *diaphone.App, channels []diaphone.ChannelName, e diaphone.Event) {
	h.publish(h.tenantOf(app), channels, outgoing{Event: e})
}

func (h *Hub) publish(t *tenant, channels []diaphone.ChannelName, o outgoing) {
	if o.ExceptSocket != "" {
		o.except = t.session(o.ExceptSocket)
	}
	for _, c := range channels {
		if t.keeps(c) {
			h.keep(t, c, o)
		} else if r := t.rooms.room(c); r != nil {
			h.post(r, o.letter(c))
		}
	}
}

// outgoing is an event on its way into channels.
type outgoing struct {
	diaphone.Event
	except  *Session
	awaited *awaited
}

func (o *outgoing) letter(c diaphone.ChannelName) *letter {
	e := o.Event // with the position that it has in this channel
	encode := func(p Protocol) *sockets.Frame { return p.Event(c, &e) }
	if o.awaited != nil {
		encode = o.awaited.behind(c, &e)
	}
	return &letter{except: o.except, awaited: o.awaited, size: len(e.Data), encode: encode}
}

// Terminate closes every session that is signed in as the user, and tells how many
// there were.
func (h *Hub) Terminate(app diaphone.AppID, user diaphone.UserID, code int, reason string) int {
	t := h.tenant(app)
	if t == nil {
		return 0
	}
	all := t.signedIn(user)
	for _, s := range all {
		s.Close(code, reason)
	}
	return len(all)
}

func (h *Hub) tenant(app diaphone.AppID) *tenant {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.tenants[app]
}

// Stats of a hub.
type Stats struct {
	Connections int
	Channels    int
	Sent        uint64 // messages handed to sockets, since the start
	DroppedSlow uint64 // connections ended because they did not read, since the start
}

// Stats may be asked at any time.
func (h *Hub) Stats() Stats {
	s := Stats{Sent: h.sent.Load(), DroppedSlow: h.engine.Stats().Slow}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, t := range h.tenants {
		connections, channels := t.size()
		s.Connections += connections
		s.Channels += channels
	}
	return s
}
