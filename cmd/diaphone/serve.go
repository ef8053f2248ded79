package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/diaphone-dev/diaphone/app"
)

type serveCmd struct {
	app.Config
}

// Run runs the gateway until a signal.
func (s *serveCmd) Run(c *console) error {
	gateway, err := app.New(s.Config, logger(c.err, &s.Config))
	if err != nil {
		return configFault(err)
	}
	return runGateway(c, gateway)
}

// runGateway runs until the first signal; the second one hurries the stop.
func runGateway(c *console, gateway *app.App) error {
	defer context.AfterFunc(c.hurry, gateway.Hurry)()
	return gateway.Run(c.ctx)
}

func logger(w io.Writer, c *app.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.SlogLevel()}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
