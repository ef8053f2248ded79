// Package hooks tells the backends of apps what happens. Of the live side: who is
// where, as Pusher's webhooks do. It compares how things stand with how they have
// been told, puts the difference into the log of each webhook (ADR 4), and sends
// each log from its front. It knows nothing of sockets; what happens it is told
// through Notice. What becomes of messages the store puts into the same logs, in the
// transactions that it happens in (ADR 9): Telling says how.
package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Timeout is how long a request may take (Standard Webhooks, "Request timeouts": 15 to
// 30 seconds), one in Pusher's form less (Pusher: an endpoint answers within four).
const (
	Timeout       = 15 * time.Second
	pusherTimeout = 4 * time.Second
)

// defaultMaxPending is the default of Config.MaxPending, and the bound on what the store
// puts into a log.
const defaultMaxPending = 500_000

// tick covers wake-ups that were lost.
const tick = 30 * time.Second

// Config names the parts of an Engine. All but the durations and MaxPending are
// required.
type Config struct {
	Apps    []*diaphone.App
	Notices storage.Notices
	// Client makes the requests: one that the egress guard has given out, for the
	// URLs are users'. The engine has it follow no redirect.
	Client  *http.Client
	Logger  *slog.Logger
	Metrics *Metrics

	// RestartGrace is how long after a start nobody is told as gone: clients come
	// back after 1 to 25 seconds. Default 30 s.
	RestartGrace time.Duration
	// MaxPending is about how many notices wait in the log of a webhook before those
	// that are no state (client events, cache misses, counts) are dropped. Default
	// 500,000.
	MaxPending int
	// MaxPendingBytes is about how many bytes they may have. Default 256 MiB.
	MaxPendingBytes int64
	// DrainTimeout bounds what is done when Run is told to stop: the last write to
	// the store, and requests under way. Default 5 s.
	DrainTimeout time.Duration
}

// Engine is the webhooks of one process.
type Engine struct {
	Config
	ledgers map[diaphone.AppID]*ledger // of the apps that have webhooks
	senders map[diaphone.WebhookID]*sender
	logs    *backlogs
	strayed []storage.Stand // until they are removed
	wake    chan struct{}   // of the appender
	hurry   chan struct{}
	hurried sync.Once
}

// New builds an Engine out of what has been told before; nothing runs before Run,
// but Notice may be called.
func New(ctx context.Context, c Config) (*Engine, error) {
	if c.RestartGrace == 0 {
		c.RestartGrace = 30 * time.Second
	}
	if c.MaxPending == 0 {
		c.MaxPending = defaultMaxPending
	}
	if c.MaxPendingBytes == 0 {
		c.MaxPendingBytes = 256 << 20
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 5 * time.Second
	}
	client := *c.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	e := &Engine{
		Config:  c,
		ledgers: map[diaphone.AppID]*ledger{},
		senders: map[diaphone.WebhookID]*sender{},
		wake:    make(chan struct{}, 1),
		hurry:   make(chan struct{}),
	}
	var err error
	if e.logs, err = newBacklogs(ctx, c.Notices, c.MaxPending, c.MaxPendingBytes); err != nil {
		return nil, fmt.Errorf("read how much waits for webhooks: %w", err)
	}
	for _, app := range c.Apps {
		if len(app.Webhooks) == 0 {
			continue
		}
		e.ledgers[app.ID] = newLedger(app)
		for i := range app.Webhooks {
			s := newSender(e, app, &app.Webhooks[i])
			e.senders[s.id] = s
		}
	}
	if err := e.load(ctx); err != nil {
		return nil, fmt.Errorf("read what webhooks have told: %w", err)
	}
	return e, nil
}

// load takes over what has been told before. What apps were told that have no webhooks
// any more is strayed: nobody will be told that it ends.
func (e *Engine) load(ctx context.Context) error {
	of := map[diaphone.AppID][]storage.Stand{}
	for page := (storage.Page{Limit: storage.MaxPage}); ; {
		some, next, err := e.Notices.Standing(ctx, "", page)
		if err != nil {
			return err
		}
		for _, s := range some {
			if e.ledgers[s.App] == nil {
				e.strayed = append(e.strayed, s)
			} else {
				of[s.App] = append(of[s.App], s)
			}
		}
		if next == "" {
			break
		}
		page.Cursor = next
	}
	settled := time.Now().Add(e.RestartGrace)
	for app, all := range of {
		e.ledgers[app].stood(all, settled)
	}
	return nil
}

// Notice takes in what happens in the channels of an app, of each in order. It is
// quick, never blocks and is safe for concurrent use.
func (e *Engine) Notice(app *diaphone.App, n diaphone.Notice) {
	l := e.ledgers[app.ID]
	if l == nil {
		return
	}
	if !l.note(&n, time.Now()) {
		nudge(e.wake)
		return
	}
	for _, id := range wanting(app, n.Kind, n.Channel) {
		count(e.Metrics.dropped, id, 1)
	}
}

// Hold is for the time before a stop, when sockets are sent away to come back to the
// next process: nobody who goes from now on is told as gone. Whoever is not back a
// while after the next start is told then.
func (e *Engine) Hold() {
	for _, l := range e.ledgers {
		l.hold()
	}
}

// Wake tells that notices were put into the log of a webhook by somebody else. It
// never blocks.
func (e *Engine) Wake(id diaphone.WebhookID) {
	if s := e.senders[id]; s != nil {
		nudge(s.wake)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // somebody has already knocked
	}
}

// Run works until ctx ends. Then it puts what waits into the logs, finishes the
// requests under way, for DrainTimeout at most or until Hurry, and returns when all
// goroutines have. What was not delivered is, after the next start.
func (e *Engine) Run(ctx context.Context) error {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { e.keepLogs(ctx, last) })
	for _, s := range e.senders {
		wg.Go(func() { s.run(ctx, last) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()

	<-ctx.Done()
	patience := time.NewTimer(e.DrainTimeout)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-e.hurry:
	}
	cancel()
	<-done
	e.Client.CloseIdleConnections()
	return nil
}

// Hurry cuts a drain short: requests under way are given up, and made again after
// the next start.
func (e *Engine) Hurry() { e.hurried.Do(func() { close(e.hurry) }) }

// pause waits, unless ctx ends. A wake-up (nil: there is none) ends it early.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}
