package channels

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// refusal is an answer of the HTTP API that is not a success: plain text, as
// hosted Pusher gives it. Its text carries no secret.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refusef(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// refuse answers an error, once, for every endpoint of the door.
func (d *Door) refuse(c echo.Context, err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return c.String(r.status, r.text)
	}
	var e *diaphone.Error
	if !errors.As(err, &e) {
		e = &diaphone.Error{Code: diaphone.Internal, Err: err}
	}
	status := statusOf(e)
	if status >= http.StatusInternalServerError {
		d.log.ErrorContext(c.Request().Context(), "pusher api", "error", err, "status", status)
	}
	if e.RetryAfter > 0 {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	return c.String(status, textOfError(e))
}

func statusOf(e *diaphone.Error) int {
	switch e.Code {
	case diaphone.Invalid, diaphone.Malformed, diaphone.Conflict:
		return http.StatusBadRequest
	case diaphone.Unauthorized:
		return http.StatusUnauthorized
	case diaphone.Forbidden, diaphone.Limited: // over quota is 403 on hosted
		return http.StatusForbidden
	case diaphone.NotFound:
		return http.StatusNotFound
	case diaphone.TooLarge:
		return http.StatusRequestEntityTooLarge
	case diaphone.Unavailable, diaphone.StorageFull:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func textOfError(e *diaphone.Error) string {
	if e.Code == diaphone.Internal {
		return "Internal error"
	}
	if len(e.Fields) == 0 {
		return e.Detail
	}
	details := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		details[i] = f.Detail
	}
	return strings.Join(details, "; ")
}

// clip keeps foreign text in an answer short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
