// Package app builds a running gateway out of the parts. It is the only place
// that knows everybody: New binds, Run runs, and a stop goes down the floors in
// named and bounded steps.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/channels"
	"github.com/diaphone-dev/diaphone/api/device"
	"github.com/diaphone-dev/diaphone/api/rest"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/push"
	"github.com/diaphone-dev/diaphone/sockets"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// App is one gateway process.
type App struct {
	config    Config
	log       *slog.Logger
	egress    *egress.Guard
	refused   atomic.Int64 // requests that the guard has stopped
	stale     atomic.Int64 // devices removed for want of a sign of life
	tenants   *Tenants
	store     *bolt.Store
	hub       *hub.Hub
	push      *push.Engine
	hooks     *hooks.Engine
	gateway   *gateway.Gateway
	handler   http.Handler // all the doors
	server    *http.Server
	listener  net.Listener
	operators *operators
	shown     *certificate // nil: no TLS

	draining chan struct{} // closed when the stop begins
	hurry    context.CancelCauseFunc
	hurried  context.Context
}

// StorePath is where the store is in a data folder.
func StorePath(dir string) string { return filepath.Join(dir, "diaphone.db") }

// New loads the apps, opens the store and binds the listener. When it returns an
// error, everything that it had opened is closed again. Nothing runs before Run.
func New(c Config, log *slog.Logger) (_ *App, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &App{config: c, log: log, draining: make(chan struct{})}
	a.hurried, a.hurry = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	a.egress = c.Egress(func() { a.refused.Add(1) })
	if a.tenants, err = LoadApps(c.Apps, c.pushServices(a.egress)); err != nil {
		return nil, err
	}
	a.tenants.warnOfExpiry(log, time.Now())
	if c.TLSCert != "" {
		if a.shown, err = newCertificate(&c, log); err != nil {
			return nil, err
		}
	}
	if err = a.tenants.CheckWebhooks(a.egress); err != nil {
		return nil, err
	}
	// The port first: a second gateway should hear of the port, not of the lock.
	if a.listener, err = listen(c.Listen); err != nil {
		return nil, err
	}
	if a.store, err = openStore(c.DataDir, bolt.Options{Logger: log, Telling: a.telling()}); err != nil {
		return nil, err
	}
	a.operators = openOperators(c.DataDir, a.store, log)
	return a, a.wire()
}

// telling is what the store tells backends. It is open before the parts that are asked,
// but nothing is accepted before they are there.
func (a *App) telling() storage.Telling {
	return hooks.Telling(a.tenants.Apps,
		func(app diaphone.AppID, u diaphone.UserID) bool { return a.hub.User(app, u) != (hub.UserInfo{}) },
		func(id diaphone.WebhookID, appended, dropped int) { a.hooks.Told(id, appended, dropped) })
}

func openStore(dir string, o bolt.Options) (*bolt.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the data folder: %w", err)
	}
	s, err := bolt.Open(StorePath(dir), o)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}

// wire introduces the parts to each other, from the lower floors upwards.
func (a *App) wire() error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	apps, err := gateway.NewApps(a.tenants.Apps)
	if err != nil {
		return err
	}
	a.hooks, err = hooks.New(context.Background(), hooks.Config{
		Apps: apps.All(), Notices: a.store, Client: a.egress.Client(hooks.Timeout), Logger: a.log, Metrics: hooks.NewMetrics(registry),
	})
	if err != nil {
		return err
	}
	a.hub = hub.New(hub.Config{
		Sockets: sockets.Config{ReadLimit: channels.ReadLimit(apps.All()), Poller: a.config.Poller}, Notice: a.hooks.Notice,
	})
	a.push, err = push.New(context.Background(), push.Config{
		Apps: apps.All(), Devices: a.store, Outbox: a.store, Providers: a.tenants.Providers,
		Refused: a.hooks.Refused,
		Changed: func(app diaphone.AppID, m diaphone.MessageID) { a.gateway.Changed(app, m) },
		Taken:   a.hub.Taken, Announce: func(m *diaphone.Message) (deliver, forget func()) { return a.gateway.Announce(m) },
		Logger: a.log, Metrics: push.NewMetrics(registry), DrainTimeout: a.config.StopWithin,
	})
	if err != nil {
		return err
	}
	a.gateway = gateway.New(gateway.Config{
		Apps: apps, Devices: a.store, Outbox: a.store, History: a.store, Receipts: a.store, Notices: a.store, Providers: a.tenants.Providers,
		Endpoint: a.config.pushServices(a.egress).Check,
		Fanout:   a.hub.Publish, Await: a.hub.Await, Past: a.hub.Past, Live: live(a.hub), Wake: a.push.Wake, Recall: a.push.Recall,
		Refused: newLimitMetrics(registry), LaneState: a.push.LaneState, Retention: a.config.Retention,
		Reported:      countReceipts(registry),
		WebhookStates: a.webhookStates, WakeWebhook: a.hooks.Wake,
	})
	p := &parts{store: a.store, hub: a.hub, refused: &a.refused, stale: &a.stale, shown: a.shown, expires: a.tenants.expires}
	for _, one := range apps.All() {
		p.apps = append(p.apps, one.ID)
	}
	registry.MustRegister(p)
	proxies, err := a.config.trustedProxies()
	if err != nil {
		return err
	}
	pusher := channels.New(channels.Config{Gateway: a.gateway, Hub: a.hub, Logger: a.log})
	a.handler, err = api.New(api.Config{
		Logger: a.log, Registry: registry, Ready: a.ready, TrustedProxies: proxies, FailedAuths: a.config.FailedAuths,
		Doors: []api.Door{rest.New(rest.Config{Gateway: a.gateway, Logger: a.log, Stopping: a.draining}), device.New(device.Config{Gateway: a.gateway, Metrics: device.NewMetrics(registry)}), pusher},
	})
	if err != nil {
		return err
	}
	a.server = api.NewServer(api.UnderPrefix(a.config.PathPrefix, a.handler), a.log)
	if a.shown != nil {
		a.listener = sockets.BelowTLS(a.listener)
		return nil
	}
	a.listener = a.hub.Engine().Porch(a.listener, sockets.PorchConfig{
		Handler: a.server.Handler, Quick: api.QuickUnderPrefix(a.config.PathPrefix, pusher.Quick), Patience: api.ReadHeaderTimeout, Idle: api.IdleTimeout,
	})
	return nil
}

// webhookStates says in the gateway's words what the sender of notices knows.
func (a *App) webhookStates() map[diaphone.WebhookID]gateway.WebhookState {
	all := map[diaphone.WebhookID]gateway.WebhookState{}
	for id, s := range a.hooks.States() {
		all[id] = gateway.WebhookState(s)
	}
	return all
}

// Gateway is what the front doors act on.
func (a *App) Gateway() *gateway.Gateway { return a.gateway }

// Address is where the gateway listens.
func (a *App) Address() string { return a.listener.Addr().String() }

// ready tells what keeps the gateway from its work.
func (a *App) ready(ctx context.Context) []api.Reason {
	var reasons []api.Reason
	select {
	case <-a.draining:
		reasons = append(reasons, api.Reason{Part: "process", Detail: "the gateway is stopping"})
	default:
	}
	if err := a.store.Check(ctx); err != nil {
		detail := "the store does not accept writes"
		var known *diaphone.Error
		if errors.As(err, &known) {
			detail = known.Detail
		}
		reasons = append(reasons, api.Reason{Part: "store", Detail: detail})
	}
	return reasons
}

// Close releases what New has taken, for an App that is never run.
func (a *App) Close() error { return a.close() }

// close releases what New has taken, the newest first.
func (a *App) close() error {
	var faults []error
	if a.operators != nil {
		a.operators.close()
	}
	if a.store != nil {
		faults = append(faults, a.store.Close())
	}
	if a.listener != nil {
		if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	if a.tenants != nil {
		faults = append(faults, a.tenants.Close())
	}
	return errors.Join(faults...)
}

// live is what the gateway asks of the hub.
func live(h *hub.Hub) gateway.Live {
	return gateway.Live{
		Channels: h.Channels, Channel: h.Channel, Members: h.Members, Cached: h.Cached, Position: h.Position,
		User: h.User, Remembered: h.Remembered, Disconnect: h.Terminate, Confirm: h.Confirm,
	}
}
