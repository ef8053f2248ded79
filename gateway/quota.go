package gateway

import (
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/gcra"
)

// leastBurst has room for a batch whatever the rate: one that never fitted could
// only be refused for ever.
const leastBurst = 10

// Quota is what an app may publish; the zero value says that there is no limit.
type Quota struct {
	Limit int           // a second
	Left  int           // that could be published at once
	Reset time.Duration // until all of it is there again
}

// meter is one app's publishing. Nobody else waits for its lock.
type meter struct {
	mu  sync.Mutex
	due time.Time
}

// Admit books so many events or messages of the app, all or none. Doors ask it
// before Publish, once for a batch. The error is Limited, and says when to come
// again.
func (g *Gateway) Admit(app *diaphone.App, n int) (Quota, error) {
	limit := app.Limits.Publishes
	m := g.meters[app.ID]
	if limit <= 0 || m == nil {
		return Quota{}, nil
	}
	rate := gcra.PerSecond(limit, max(limit, leastBurst))
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var wait time.Duration
	m.due, wait = rate.Take(m.due, now, n)
	q := Quota{Limit: limit, Left: rate.Left(m.due, now), Reset: max(0, m.due.Sub(now))}
	if wait == 0 {
		return q, nil
	}
	return q, &diaphone.Error{
		Code:       diaphone.Limited,
		Detail:     "the app publishes more than it may",
		Hint:       "spread events over time, or send several channels one event; whoever runs the gateway can raise limits.publishes_per_second",
		RetryAfter: wait,
	}
}
