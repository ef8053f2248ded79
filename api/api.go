// Package api is the HTTP server that the front doors hang in: request ids,
// logs, metrics, limits, health, and the one place where errors become problem
// documents. What a route does lives in its door, and what the product does in
// package gateway.
package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Door is a set of routes: the native API, the Pusher Channels interface, …
type Door interface {
	// Mount registers the door's routes. It is called once. A handler that returns
	// an error gets a problem document written for it; one that knows the caller's
	// app may say c.Set(AppKey, string(id)) for the log.
	Mount(e *echo.Echo)
}

// Config names what the server needs. The fields behind Doors may be left out.
type Config struct {
	Logger   *slog.Logger
	Registry *prometheus.Registry // our metrics are registered with it, and it is served at /metrics
	// Ready tells what keeps the gateway from its work; nothing when it is ready.
	// Its context ends after readyTimeout.
	Ready func(ctx context.Context) []Reason
	Doors []Door
	// TrustedProxies are believed what they say of a client; none unless given.
	TrustedProxies []netip.Prefix
	FailedAuths    int // a minute that one address may have; 0: no limit
}

// Reason is why one part of the gateway is not ready. It is served without
// authentication, so it carries no secret.
type Reason struct {
	Part   string `json:"part"`   // for example "store"
	Detail string `json:"detail"` // for example "the disk is full"
}

// New builds the handler with all its routes. It starts no goroutine.
func New(c Config) (*echo.Echo, error) {
	m, err := newMetrics(c.Registry)
	if err != nil {
		return nil, fmt.Errorf("register the metrics of the HTTP server: %w", err)
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard) // echo's own logger would bypass ours
	e.HTTPErrorHandler = respondProblem
	believe(e, c.TrustedProxies)
	e.Use(around(m, &wary{perMinute: c.FailedAuths}, c.Logger))
	mountOperations(e, c)
	for _, d := range c.Doors {
		d.Mount(e)
	}
	return e, nil
}
