// Package push is the asleep side: it plans the audience of accepted messages
// into batches, claims what each lane has room for, makes the attempts and
// settles their outcomes. It knows nothing of sockets; whether a user is live
// it asks through a function.
package push

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/storage"
)

// Config names the parts of an Engine. All are required but the durations, and what
// says otherwise.
type Config struct {
	Apps      []*diaphone.App
	Devices   storage.Devices
	Outbox    storage.Outbox
	Providers map[diaphone.Lane]providers.Provider
	// Taken tells how a user is known to have a message, or until when that may still turn
	// out (zero: it will not). It is asked for messages to those who are away, before each
	// attempt, and must not wait for anything.
	Taken func(app diaphone.AppID, m diaphone.MessageID, user diaphone.UserID) (how diaphone.Taking, until time.Time)
	// Announce tells the live side of a scheduled message that is about to go out. One of
	// the functions that it gives is called then, when it is known whether it has.
	Announce func(m *diaphone.Message) (deliver, forget func())
	// Changed tells that something of a message has been recorded. It must not wait for
	// anything. nil: nobody is told.
	Changed func(app diaphone.AppID, m diaphone.MessageID)
	// Refused tells that a lane waits because its provider refuses the credential, with
	// the provider's answer, or (nil) that it goes on. It must not wait for anything.
	// nil: nobody is told.
	Refused func(lane diaphone.Lane, o *diaphone.Outcome)
	Logger  *slog.Logger
	Metrics *Metrics

	AttemptTimeout time.Duration // default 15 s
	DrainTimeout   time.Duration // for attempts under way when Run is told to stop; default 10 s
}

// lease is how long a claimed batch may go without a settlement. Attempts are
// bounded by AttemptTimeout and every settlement renews the lease, so only a
// stuck lane loses one.
const lease = 2 * time.Minute

// tick covers wake-ups that were lost: a message waits at most this long for
// what a wake-up would have started at once.
const tick = 5 * time.Second

// Engine is the asleep side of one process.
type Engine struct {
	Config
	apps     map[diaphone.AppID]*diaphone.App
	lanes    map[diaphone.Lane]*lane // all there are from New on
	planWake chan struct{}
	hurry    chan struct{}
	hurried  sync.Once
}

// New builds an Engine; nothing runs before Run. It reads which deliveries wait, for
// there may be some whose credential is not declared any more.
func New(ctx context.Context, c Config) (*Engine, error) {
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = 15 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 10 * time.Second
	}
	if c.Changed == nil {
		c.Changed = func(diaphone.AppID, diaphone.MessageID) {}
	}
	if c.Refused == nil {
		c.Refused = func(diaphone.Lane, *diaphone.Outcome) {}
	}
	e := &Engine{
		Config:   c,
		apps:     make(map[diaphone.AppID]*diaphone.App),
		lanes:    make(map[diaphone.Lane]*lane),
		planWake: make(chan struct{}, 1),
		hurry:    make(chan struct{}),
	}
	for _, a := range c.Apps {
		e.apps[a.ID] = a
		for _, cred := range a.Credentials {
			id := diaphone.Lane{App: a.ID, Credential: cred.Name}
			e.lanes[id] = newLane(e, id, cred)
			e.lanes[id].elsewhere = e.elsewhereOf(a, cred)
		}
	}
	if err := e.adoptOrphans(ctx); err != nil {
		return nil, fmt.Errorf("read which deliveries wait: %w", err)
	}
	return e, nil
}

// Run works until ctx ends, then claims nothing more, waits for the attempts
// under way (at most DrainTimeout, or until Hurry), settles them and returns
// when all goroutines have.
func (e *Engine) Run(ctx context.Context) error {
	attempts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { e.plan(ctx) })
	for _, l := range e.lanes {
		wg.Go(func() { l.run(ctx, attempts) })
	}
	drained := make(chan struct{})
	go func() { wg.Wait(); close(drained) }()

	<-ctx.Done()
	patience := time.NewTimer(e.DrainTimeout)
	defer patience.Stop()
	select {
	case <-drained:
		return nil
	case <-patience.C:
	case <-e.hurry:
	}
	cancel() // attempts under way end now, with their outcome unknown
	<-drained
	return nil
}

// Hurry cuts a drain short: attempts under way are given up and will be made
// again after the next start.
func (e *Engine) Hurry() { e.hurried.Do(func() { close(e.hurry) }) }

// Wake tells of new work. It never blocks; a wake-up that is lost costs one tick.
func (e *Engine) Wake(lanes []diaphone.Lane, unplanned bool) {
	for _, id := range lanes {
		if l := e.lanes[id]; l != nil {
			nudge(l.wake)
		}
	}
	if unplanned {
		nudge(e.planWake)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // somebody has already knocked
	}
}

// adoptOrphans gives a lane to work whose credential is no longer declared. Its
// deliveries wait, in case the credential comes back, until they expire.
func (e *Engine) adoptOrphans(ctx context.Context) error {
	queued, err := e.Outbox.Lanes(ctx)
	if err != nil {
		return err
	}
	for _, id := range queued {
		if e.lanes[id] != nil {
			continue
		}
		e.Logger.Error("deliveries wait for a credential that is not declared any more; declare it again, or they expire",
			"app", id.App, "credential", id.Credential)
		e.lanes[id] = newLane(e, id, diaphone.Credential{Name: id.Credential})
	}
	return nil
}

// plan turns audiences into batches, a page of each message in turn, so that a
// broadcast to a million does not hold up the next message. Between the rounds it
// starts what is scheduled for now.
func (e *Engine) plan(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := e.startDue(ctx)
		if e.planRound(ctx) {
			wait = 0
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-e.planWake:
		case <-timer.C:
		}
	}
}

// planRound plans one page of every unplanned message. more: there is at least
// one page left.
func (e *Engine) planRound(ctx context.Context) (more bool) {
	const round = 100
	refs, err := e.Outbox.Unplanned(ctx, round)
	if err != nil {
		e.troubled(ctx, "list messages to plan", err)
		return false
	}
	for _, ref := range refs {
		done, lanes, err := e.Outbox.Plan(ctx, ref.App, ref.ID, e.route(ref.App))
		if err != nil {
			e.troubled(ctx, "plan a message", err)
			return false
		}
		more = more || !done
		e.Changed(ref.App, ref.ID)
		e.Wake(lanes, false)
	}
	return more || len(refs) == round
}

// route is the app's routing; the devices of an app that is gone reach nothing.
func (e *Engine) route(id diaphone.AppID) storage.Route {
	if app := e.apps[id]; app != nil {
		return app.Route
	}
	return func(*diaphone.Message, *diaphone.Device) (diaphone.Lane, diaphone.TokenKind, string) {
		return diaphone.Lane{}, "", diaphone.ReasonNoApp
	}
}

// troubled logs an error of the store, unless we are being stopped anyway.
func (e *Engine) troubled(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		e.Logger.Error("the store failed; trying again soon", "doing", doing, "error", err)
	}
}
