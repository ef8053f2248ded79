package push

import (
	"context"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// startDue starts what is scheduled for now, and says how long to wait before asking
// again: never longer than a tick, for the time that counts is that of the wall clock,
// which people and time servers may set.
func (e *Engine) startDue(ctx context.Context) (wait time.Duration) {
	const round = 100
	due, next, err := e.Outbox.Due(ctx, time.Now(), round)
	if err != nil {
		e.troubled(ctx, "list messages that are due", err)
		return tick
	}
	delivers := make([]func(), len(due))
	var starting sync.WaitGroup // together, so that they share the store's syncs
	for i, m := range due {
		starting.Go(func() { delivers[i] = e.start(ctx, m) })
	}
	starting.Wait()
	failed := false
	for _, deliver := range delivers {
		if deliver != nil {
			deliver()
		}
		failed = failed || deliver == nil
	}
	if next.IsZero() || failed {
		return tick
	}
	return min(max(time.Until(next), 0), tick)
}

// start lets a scheduled message go out. It gives what hands it to whoever is live, or
// nil when the store has failed.
func (e *Engine) start(ctx context.Context, m *diaphone.Message) (deliver func()) {
	deliver, forget := e.Announce(m)
	accepted, began, err := e.Outbox.Start(ctx, m.App, m.ID, e.route(m.App))
	if err != nil {
		forget()
		e.troubled(ctx, "start a scheduled message", err)
		return nil
	}
	if !began { // cancelled meanwhile
		return forget
	}
	e.Changed(m.App, m.ID)
	e.Wake(accepted.Lanes, !accepted.Planned)
	return deliver
}
