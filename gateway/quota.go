package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/gcra"
)

// leastBurst has room for a batch whatever the rate: one that never fitted could
// only be refused for ever.
const leastBurst = 10

// The limits on what an app's backends publish, as headers and metrics name them.
const (
	LimitApp       = "publishes" // of the app, a second
	LimitToken     = "token"     // of one bearer token, a second
	LimitPending   = "pending"   // deliveries that wait
	LimitScheduled = "scheduled" // messages that wait for their time
)

// Quota is what may be published under one limit.
type Quota struct {
	Name  string        // LimitApp or LimitToken
	Limit int           // a second
	Left  int           // that could be published at once
	Reset time.Duration // until all of it is there again
}

// meter counts what is published under one limit. Nobody else waits for its lock.
type meter struct {
	mu  sync.Mutex
	due time.Time
}

// take books n, or says how long to wait for them; none is booked then.
func (m *meter) take(name string, limit int, now time.Time, n int) (q Quota, wait time.Duration) {
	rate := gcra.PerSecond(limit, max(limit, leastBurst))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due, wait = rate.Take(m.due, now, n)
	return Quota{Name: name, Limit: limit, Left: rate.Left(m.due, now), Reset: max(0, m.due.Sub(now))}, wait
}

// giveBack takes back what was booked.
func (m *meter) giveBack(limit, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due = m.due.Add(-time.Duration(n) * gcra.PerSecond(limit, 1).Interval)
}

// Admit books so many events or messages of the app, published with the token (nil:
// with a key of the Pusher protocol), all or none. Doors ask it before Publish, once
// for a batch. It gives what is left of each limit that there is. The error is Limited,
// and says when to come again.
func (g *Gateway) Admit(app *diaphone.App, token *diaphone.AccessToken, n int) ([]Quota, error) {
	now := time.Now()
	var quotas []Quota
	limited := token != nil && token.Publishes > 0
	if limited {
		q, wait := g.tokenMeters[token.Hash].take(LimitToken, token.Publishes, now, n)
		if wait > 0 {
			return []Quota{q}, g.refuse(app, LimitToken, wait, fmt.Sprintf("the bearer token %q publishes more than it may", token.Name),
				"spread messages over time; whoever runs the gateway can raise publishes_per_second of this token")
		}
		quotas = append(quotas, q)
	}
	limit, m := app.Limits.Publishes, g.meters[app.ID]
	if limit <= 0 || m == nil {
		return quotas, nil
	}
	q, wait := m.take(LimitApp, limit, now, n)
	if wait == 0 {
		return append(quotas, q), nil
	}
	if limited {
		g.tokenMeters[token.Hash].giveBack(token.Publishes, n)
	}
	return []Quota{q}, g.refuse(app, LimitApp, wait, "the app publishes more than it may",
		"spread events over time, or send several channels one event; whoever runs the gateway can raise limits.publishes_per_second")
}

// refuse makes the refusal of one limit, and counts it.
func (g *Gateway) refuse(app *diaphone.App, limit string, wait time.Duration, detail, hint string) error {
	if g.parts.Refused != nil {
		g.parts.Refused(app.ID, limit)
	}
	return &diaphone.Error{Code: diaphone.Limited, Detail: detail, Hint: hint, RetryAfter: wait}
}

// How long a publisher is asked to wait whose app has too much in store.
const (
	pendingWait   = 5 * time.Second
	scheduledWait = time.Minute
)

// room refuses a message that is to be stored while the app has too much in store: so
// one that floods slows itself and fills nobody's disk. A broadcast that is accepted
// goes out whole, however large.
func (g *Gateway) room(app *diaphone.App, m *diaphone.Message) error {
	pending, scheduled := g.parts.Outbox.Backlog(app.ID)
	if limit := app.Limits.MaxScheduled(); !m.SendAt.IsZero() && scheduled >= int64(limit) {
		return g.refuse(app, LimitScheduled, scheduledWait, fmt.Sprintf("%d messages of the app wait for their time, the limit is %d", scheduled, limit),
			"cancel some, or schedule them later; whoever runs the gateway can raise limits.scheduled")
	}
	if limit := app.Limits.MaxPending(); m.Notification != nil && pending >= int64(limit) {
		return g.refuse(app, LimitPending, pendingWait, fmt.Sprintf("%d deliveries of the app wait in the queue, the limit is %d", pending, limit),
			"wait until the providers have taken some, and look whether a lane is paused; whoever runs the gateway can raise limits.pending")
	}
	return nil
}
