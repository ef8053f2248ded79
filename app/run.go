package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone/storage/bolt"
)

var (
	errHurry   = errors.New("told to hurry")
	errOverdue = errors.New("the time to stop is over")
	errStore   = errors.New("the store has failed")
)

// Run serves until ctx ends or a part fails, then stops: no new claims, attempts
// under way finished and recorded, sockets sent away, no new connections, what
// webhooks are to be told put into their logs, store closed. It returns when all of
// that is done, at most StopWithin after the stop began. A second call is an error.
func (a *App) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	pushing, stopPush := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPush()
	hooking, stopHooks := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHooks()
	hubbing, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHub()

	var parts sync.WaitGroup
	part := func(name string, run func() error) {
		parts.Go(func() {
			if err := run(); err != nil {
				fail(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	part("live side", func() error { return a.hub.Run(hubbing) })
	pushed := make(chan struct{})
	part("asleep side", func() error {
		defer close(pushed)
		return a.push.Run(pushing)
	})
	part("webhooks", func() error { return a.hooks.Run(hooking) })
	part("retention", func() error { return a.sweep(pushing) })
	part("devices' retention", func() error { return a.sweepDevices(pushing) })
	part("scrubber", func() error { return a.store.Scrub(pushing, bolt.ScrubPace{}) })
	part("operators' socket", func() error { return a.operators.run(pushing) })
	part("HTTP server", func() error {
		if err := a.serve(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	if a.shown != nil {
		part("certificate", func() error {
			a.shown.watch(pushing)
			return nil
		})
	}
	part("store", func() error {
		select {
		case <-a.store.Failed():
			a.hurry(errStore)
			return errors.New("a write failed; ending, so that nothing is accepted that would be lost: check the disk, then start again")
		case <-pushing.Done():
			return nil
		}
	})
	a.log.Info("ready", "address", a.Address(), "apps", len(a.tenants.Apps))

	<-ctx.Done()
	overdue := time.AfterFunc(a.config.StopWithin, func() { a.hurry(errOverdue) })
	defer overdue.Stop()
	defer context.AfterFunc(a.hurried, func() {
		a.log.Warn("hurrying", "why", context.Cause(a.hurried))
		a.push.Hurry()
		a.hooks.Hurry()
	})()
	a.stopPushing(stopPush, pushed)
	a.stopServing()
	<-pushed
	stopHooks()
	stopHub()
	parts.Wait()
	err := a.close()
	a.log.Info("stopped")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// serve is the HTTP server's loop.
func (a *App) serve() error {
	if a.shown == nil {
		return a.server.Serve(a.listener)
	}
	a.server.TLSConfig = a.shown.config()
	return a.server.ServeTLS(a.listener, "", "")
}

// Reload reads again what may change while the gateway runs: the certificate.
// It may be called at any time.
func (a *App) Reload() {
	if a.shown == nil {
		a.log.Info("nothing to reload: there is no --tls-cert; other settings and the apps file are read at the start")
		return
	}
	a.shown.reload()
}

// Hurry shortens a stop that has begun: sockets are closed at once and attempts
// under way are given up, to be made again after the next start.
func (a *App) Hurry() { a.hurry(errHurry) }

// stopPushing ends the asleep side while the live side goes on: what is published
// now is on disk and goes out after the next start. Sockets that leave last of all,
// for the next process, wait until it has ended.
func (a *App) stopPushing(stop context.CancelFunc, stopped <-chan struct{}) {
	close(a.draining)
	a.log.Info("stopping: no new attempts; finishing those under way")
	stop()
	if a.config.DrainFor == 0 {
		<-stopped
	}
}

// stopServing sends the sockets away and ends the HTTP server. It answers until the
// last of them has gone: so long a client is told when to come back, where a port
// that is closed tells it nothing.
func (a *App) stopServing() {
	a.hooks.Hold() // whoever is sent away now comes back after the restart
	a.log.Info("stopping: sockets go", "over", a.config.DrainFor)
	a.hub.Drain(a.hurried, a.config.DrainFor)
	a.log.Info("stopping: no new connections")
	if err := a.server.Shutdown(a.hurried); err != nil {
		_ = a.server.Close() // requests that did not end in time are cut; the publisher repeats them
	}
}

// sweepEvery is how often what is old is looked for.
const sweepEvery = 10 * time.Minute

// sweep removes what has been finished or given up for longer than the retention, in small
// bites so that no publisher waits for it.
func (a *App) sweep(ctx context.Context) error {
	const bite = 200
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		before := time.Now().Add(-a.config.Retention)
		a.remove(ctx, "messages", func() (int, bool, error) { return a.store.Sweep(ctx, before, bite) })
		a.remove(ctx, "dead letters of webhooks", func() (int, bool, error) {
			return a.store.SweepNotices(ctx, before, a.tenants.webhooks(), bite)
		})
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// How devices are looked through: a million in a quarter of an hour, once a day.
const (
	deviceBite      = 1000
	deviceBiteEvery = time.Second
	devicesEvery    = 24 * time.Hour
)

// sweepDevices removes devices that have not registered again for longer than their
// retention: nothing that is sent to them arrives.
func (a *App) sweepDevices(ctx context.Context) error {
	if a.config.DeviceRetention == 0 {
		return nil
	}
	pace := time.NewTicker(deviceBiteEvery)
	defer pace.Stop()
	cursor, total := "", 0
	for {
		removed, next, err := a.store.SweepDevices(ctx, time.Now().Add(-a.config.DeviceRetention), cursor, deviceBite)
		if err != nil && ctx.Err() == nil {
			a.log.Error("could not remove what is old", "what", "devices", "error", err)
			next = ""
		}
		total += removed
		a.stale.Add(int64(removed))
		if cursor = next; cursor == "" {
			if total > 0 {
				a.log.Info("devices that have not registered again were removed", "devices", total, "for", a.config.DeviceRetention)
			}
			total = 0
			pace.Reset(devicesEvery)
		} else {
			pace.Reset(deviceBiteEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
	}
}

// remove takes bites until there is no more.
func (a *App) remove(ctx context.Context, what string, bite func() (removed int, more bool, err error)) {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if _, more, err = bite(); err != nil {
			a.log.Error("could not remove what is old", "what", what, "error", err)
			return
		}
	}
}
