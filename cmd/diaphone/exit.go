package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/diaphone-dev/diaphone/client"
)

// The exit codes; docs/cli.md has them for people.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitConfig      = 3
	exitAuth        = 4
	exitNotFound    = 5
	exitConflict    = 6
	exitUnavailable = 7
	exitPartial     = 8 // done, but some recipients failed
	exitDamaged     = 9 // a store or a backup
	exitInterrupted = 130
)

// coded is an error with an exit code of its own.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// usage marks an error as wrong use, unless it has a code already.
func usage(err error) error {
	var own *coded
	if errors.As(err, &own) {
		return err
	}
	return &coded{exitUsage, err}
}

func usagef(format string, args ...any) error     { return &coded{exitUsage, fmt.Errorf(format, args...)} }
func configFault(err error) error                 { return &coded{exitConfig, err} }
func failf(code int, text string, a ...any) error { return &coded{code, fmt.Errorf(text, a...)} }

// fail prints what went wrong and gives the exit code.
func (c *console) fail(err error) int {
	code := exitCode(err)
	if code == exitInterrupted {
		return code
	}
	text, more := inWords(err)
	fmt.Fprintf(c.err, "diaphone: %s\n", printable(text))
	for _, line := range more {
		fmt.Fprintf(c.err, "  %s\n", printable(line))
	}
	if code == exitUsage {
		fmt.Fprintln(c.err, "  see `diaphone --help` and `diaphone COMMAND --help`")
	}
	return code
}

func exitCode(err error) int {
	var own *coded
	var problem *client.Problem
	var dial *net.OpError
	var address *url.Error
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &problem):
		return exitOfStatus(problem.Status)
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &dial), errors.As(err, &address), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	return exitFailure
}

func exitOfStatus(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitAuth
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		return exitUnavailable
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return exitUsage
	}
	return exitFailure
}
