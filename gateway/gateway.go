// Package gateway is what the product does, said once for every front door:
// publish, register, look up. Doors authenticate and decode; engines below
// carry out. No rule stands in a door that belongs here.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/push"
	"github.com/diaphone-dev/diaphone/storage"
)

// Config names the parts a Gateway acts through. All fields are required but
// those that say otherwise.
type Config struct {
	Apps      *Apps
	Devices   storage.Devices
	Outbox    storage.Outbox
	History   storage.History
	Receipts  storage.Receipts
	Notices   storage.Notices
	Providers map[diaphone.Lane]providers.Provider
	// Endpoint tells why messages may not be sent to a URL that a browser gave; it
	// looks nothing up.
	Endpoint func(url string) error
	// Fanout hands an event to the live side and does not wait for sockets.
	Fanout func(app *diaphone.App, channels []diaphone.ChannelName, e diaphone.Event)
	// Await announces a message of which it is to be known who takes it live. The
	// function that it gives is called once: it is Fanout for that message, without an
	// event (nil) only asks who is there, and without channels forgets the message.
	Await func(app *diaphone.App, w diaphone.Awaited) (fanOut func(channels []diaphone.ChannelName, e *diaphone.Event))
	// Past gives what the live side has kept of a channel's events; ok is false when
	// the app keeps none of the channel.
	Past func(app *diaphone.App, c diaphone.ChannelName, since diaphone.Position, most int) (past diaphone.Past, ok bool)
	Live Live
	// Wake tells the asleep side of new work. It does not wait either.
	Wake func(lanes []diaphone.Lane, unplanned bool)
	// Recall has the asleep side give a cancelled message up, and tells how many attempts
	// of it are in flight; see push.Engine.
	Recall func(ctx context.Context, app diaphone.AppID, id diaphone.MessageID) (aloft int, err error)
	// LaneState tells how a lane fares; see push.Engine.
	LaneState func(ctx context.Context, lane diaphone.Lane) (s push.LaneState, ok bool)
	// Retention is how long finished messages are kept, to be told.
	Retention time.Duration
	// Refused counts what a limit on publishing has refused. nil: nobody counts.
	Refused func(app diaphone.AppID, limit string)
	// Reported hears what has become of each receipt. nil: nobody does.
	Reported func(app diaphone.AppID, kind diaphone.ReceiptKind, fate storage.ReceiptFate)
	// WebhookStates gives what the sender of notices knows of webhooks. nil: nothing
	// is known.
	WebhookStates func() map[diaphone.WebhookID]WebhookState
	// WakeWebhook tells it of new work; it does not wait. nil: nobody sends.
	WakeWebhook func(diaphone.WebhookID)
}

// Gateway is safe for concurrent use and starts no goroutine.
type Gateway struct {
	parts   Config
	meters  map[diaphone.AppID]*meter // of all apps
	watches watches

	populations map[diaphone.AppID]*population // of all apps
	tokenMeters map[diaphone.TokenHash]*meter  // of the tokens that have a limit
}

// New builds a Gateway.
func New(c Config) *Gateway {
	g := &Gateway{parts: c, meters: map[diaphone.AppID]*meter{}, populations: map[diaphone.AppID]*population{}, tokenMeters: map[diaphone.TokenHash]*meter{}}
	for _, a := range c.Apps.All() {
		g.meters[a.ID], g.populations[a.ID] = new(meter), new(population)
		for _, t := range a.Tokens {
			if t.Publishes > 0 {
				g.tokenMeters[t.Hash] = new(meter)
			}
		}
	}
	return g
}

// Apps is the directory of tenants, for doors to authenticate with.
func (g *Gateway) Apps() *Apps { return g.parts.Apps }

// Published is what a publisher is told.
type Published struct {
	ID diaphone.MessageID
	// Stored: the message can be looked up by its id. A message of an event only,
	// without an idempotency key, sent at once, is never stored.
	Stored   bool
	Replayed bool // this is the answer to an earlier request with the same idempotency key
	Counts   diaphone.Counts
}

// Publish validates and accepts a message of m.App. When it returns without an
// error, a notification in it is on disk. The caller gives m away. Errors:
// Invalid and TooLarge with pointers to the fields, Conflict for a used
// idempotency key, StorageFull, Unavailable.
func (g *Gateway) Publish(ctx context.Context, m *diaphone.Message, idem storage.Idempotency) (Published, error) {
	app, err := g.prepare(m)
	if err != nil {
		return Published{}, err
	}
	p, deliver, err := g.accept(ctx, app, m, idem)
	if err == nil {
		deliver()
	}
	return p, err
}

// prepare checks a message and gives it its id and its times.
func (g *Gateway) prepare(m *diaphone.Message) (*diaphone.App, error) {
	app, err := g.check(m)
	if err != nil {
		return nil, err
	}
	if _, err := g.render(app, m); err != nil {
		return nil, err
	}
	m.ID = diaphone.NewMessageID(m.AcceptedAt)
	return app, nil
}

// check gives a message its defaults and its times, and refuses what no app could send.
func (g *Gateway) check(m *diaphone.Message) (*diaphone.App, error) {
	app := g.parts.Apps.ByID(m.App)
	if app == nil {
		return nil, diaphone.Errorf(diaphone.NotFound, "no app %q", m.App)
	}
	if m.When == "" {
		m.When = diaphone.Always
		if m.Event != nil && m.Notification != nil {
			m.When = diaphone.Away
		}
	}
	m.Schedule(time.Now())
	if err := m.Validate(app.Limits.MaxEventBytes()); err != nil {
		return nil, err
	}
	return app, nil
}

// accept brings a prepared message to disk, if it belongs there. deliver, which must be
// called then, hands it to whoever is live and wakes the lanes.
func (g *Gateway) accept(ctx context.Context, app *diaphone.App, m *diaphone.Message, idem storage.Idempotency) (p Published, deliver func(), err error) {
	if event := m.Event; m.Notification == nil && idem.Key == "" && m.SendAt.IsZero() {
		return Published{ID: m.ID}, func() { g.fanOut(app, &m.To, event) }, nil
	}
	forget := func() {}
	if full := g.room(app, m); full != nil { // what was accepted before is told even so
		earlier, ok, err := g.parts.Outbox.Replayed(ctx, app.ID, idem)
		if err != nil || !ok {
			return Published{}, nil, cmp.Or(err, full)
		}
		return published(earlier), forget, nil
	}
	fanOut := forget
	if m.SendAt.IsZero() {
		fanOut, forget = g.announce(app, m)
	}
	accepted, err := g.parts.Outbox.Accept(ctx, m, idem, app.Route)
	if err != nil {
		forget()
		return Published{}, nil, fmt.Errorf("accept a message: %w", err)
	}
	p = published(accepted)
	if accepted.Replayed {
		return p, forget, nil
	}
	return p, func() {
		fanOut()
		// Behind the event: a lane that asks sooner is told to wait and ask again, for
		// it is not known yet who takes the event.
		g.parts.Wake(accepted.Lanes, !accepted.Planned)
	}, nil
}

func published(a storage.Accepted) Published {
	return Published{ID: a.ID, Stored: true, Replayed: a.Replayed, Counts: a.Counts}
}

// Announce is for a scheduled message whose time has come, before it goes out: deliver
// then hands it to whoever is live, or forget takes the announcement back.
func (g *Gateway) Announce(m *diaphone.Message) (deliver, forget func()) {
	app := g.parts.Apps.ByID(m.App)
	if app == nil || !time.Now().Before(m.Expires) {
		return func() {}, func() {}
	}
	return g.announce(app, m)
}

// announce tells the live side of a message before it is on disk: the lanes ask who has
// taken it as soon as it is.
func (g *Gateway) announce(app *diaphone.App, m *diaphone.Message) (deliver, forget func()) {
	event := m.Event // m is shared once it is accepted
	if event != nil {
		stored := *event
		stored.Message = m.ID
		event = &stored
	}
	if m.Notification == nil || m.When != diaphone.Away {
		return func() { g.fanOut(app, &m.To, event) }, func() {}
	}
	c := m.Confirm.Or(app.Confirm).InForce()
	fanOut := g.parts.Await(app, diaphone.Awaited{Message: m.ID, By: c.By, Until: time.Now().Add(c.Within)})
	return func() { fanOut(listeners(&m.To), event) }, func() { fanOut(nil, nil) }
}

// fanOut hands an event to whoever is live.
func (g *Gateway) fanOut(app *diaphone.App, to *diaphone.Audience, e *diaphone.Event) {
	if channels := listeners(to); e != nil && len(channels) > 0 {
		g.parts.Fanout(app, channels, *e)
	}
}

// listeners are the channels on which the audience can be live.
func listeners(to *diaphone.Audience) []diaphone.ChannelName {
	channels := make([]diaphone.ChannelName, 0, len(to.Channels)+len(to.Users))
	channels = append(channels, to.Channels...)
	for _, u := range to.Users {
		channels = append(channels, diaphone.UserChannel(u))
	}
	return channels
}
