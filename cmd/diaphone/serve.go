package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

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
	defer onHangUp(gateway.Reload)()
	return runGateway(c, gateway)
}

// runGateway runs until the first signal; the second one hurries the stop.
func runGateway(c *console, gateway *app.App) error {
	defer context.AfterFunc(c.hurry, gateway.Hurry)()
	return gateway.Run(c.ctx)
}

// onHangUp calls act at every SIGHUP, until stop.
func onHangUp(act func()) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-signals:
				act()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		watching.Wait()
	}
}

func logger(w io.Writer, c *app.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.SlogLevel()}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
