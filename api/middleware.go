package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// maxRequestID is the longest id that we take over from a caller.
const maxRequestID = 128

// around is what happens before and behind every handler. It is one middleware and not
// six, for echo builds each anew for every request.
func around(m *metrics, w *wary, l *slog.Logger) echo.MiddlewareFunc {
	always := safeHeaders()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			m.inFlight.Inc()
			defer m.inFlight.Dec()
			maps.Copy(c.Response().Header(), always)
			identify(c)
			bound(c)
			err := w.let(next, c)
			if err != nil { // log and metrics look at the status
				c.Echo().HTTPErrorHandler(err, c)
			}
			took := time.Since(start)
			logRequest(l, c, took, err)
			m.observe(c, took)
			return nil
		}
	}
}

// safeHeaders are on every answer, which shares their values: nothing here is for a
// browser to render, frame, guess or keep.
func safeHeaders() http.Header {
	return http.Header{
		"Cache-Control":           {"no-store"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		"Referrer-Policy":         {"no-referrer"},
		"X-Content-Type-Options":  {"nosniff"},
	}
}

// identify gives the request its id.
func identify(c echo.Context) {
	id := c.Request().Header.Get(echo.HeaderXRequestID)
	if !usableID(id) {
		id = rand.Text()
	}
	c.Response().Header().Set(echo.HeaderXRequestID, id)
}

func requestID(c echo.Context) string {
	return c.Response().Header().Get(echo.HeaderXRequestID)
}

func usableID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		b := id[i]
		alnum := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !alnum && strings.IndexByte("-_.:/+=@", b) < 0 {
			return false
		}
	}
	return true
}

// logRequest writes one line for each request: at debug when all is well, at info
// when the caller was refused, at warn when it must come again, at error when we
// failed. It tells the path, never the query (which carries signatures and user
// ids), a header or a body.
func logRequest(l *slog.Logger, c echo.Context, took time.Duration, err error) {
	ctx, status := c.Request().Context(), statusOf(c)
	level := levelOf(status)
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", requestID(c)),
		slog.String("method", methodLabel(c.Request().Method)),
		slog.String("route", routeOf(c)),
		slog.String("path", clip(c.Request().URL.EscapedPath())),
		slog.Int("status", status),
		slog.Int64("bytes_in", c.Request().ContentLength),
		slog.Int64("bytes_out", c.Response().Size),
		slog.Float64("took_ms", float64(took.Microseconds())/1000),
		slog.String("remote", remoteOf(c)),
	}
	if app, ok := c.Get(AppKey).(string); ok {
		attrs = append(attrs, slog.String("app", app))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	var p *panicError
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	l.LogAttrs(ctx, level, "request", attrs...)
}

// HidePath keeps the path of a request out of the log, which shows the route in its
// place: there is a secret in it, or there may be one.
func HidePath(c echo.Context) {
	r := c.Request().WithContext(c.Request().Context()) // a copy
	u := *r.URL
	u.Path, u.RawPath = c.Path(), ""
	r.URL = &u
	c.SetRequest(r)
}

// AppKey is where a door that knows the caller's app leaves its id, a string, in
// the echo.Context, so that the log has it.
const AppKey = "app"

func levelOf(status int) slog.Level {
	switch {
	case status == http.StatusInternalServerError:
		return slog.LevelError
	case status > http.StatusInternalServerError:
		return slog.LevelWarn
	case status >= http.StatusBadRequest:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// statusOf gives 101 for a connection that a door took over: nothing was
// written through the response then.
func statusOf(c echo.Context) int {
	if !c.Response().Committed && c.IsWebSocket() {
		return http.StatusSwitchingProtocols
	}
	return c.Response().Status
}

// routeOf gives the template of the route, and "none" for a path that has none:
// a label must not be for callers to invent.
func routeOf(c echo.Context) string {
	if path := c.Path(); path != "" {
		return path
	}
	return "none"
}

// panicError is a panic on its way to the log.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// guarded turns a panic into an error: the caller gets a 500 and the log the
// stack, and the process goes on.
func guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value too
			panic(v)
		}
		err = &panicError{value: v, stack: string(debug.Stack())}
	}()
	return next(c)
}

// bound cuts off a body that no door could want. One that has a smaller length ends
// there by itself.
func bound(c echo.Context) {
	r := c.Request()
	if r.Body != nil && (r.ContentLength < 0 || r.ContentLength > MaxBodyBytes) {
		r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, MaxBodyBytes)
	}
}

// clip keeps a path in the log short.
func clip(s string) string {
	const most = 512
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
