package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

// problemBase is where every code has its page; a problem's type never changes.
const problemBase = "https://diaphone.dev/problems/"

// Codes that only HTTP knows.
const (
	methodNotAllowed     diaphone.Code = "method_not_allowed"
	unsupportedMediaType diaphone.Code = "unsupported_media_type"
)

// kindOf gives the HTTP status and the title of a code.
func kindOf(code diaphone.Code) (status int, title string) {
	switch code {
	case diaphone.Malformed:
		return http.StatusBadRequest, "The request could not be read"
	case diaphone.Unauthorized:
		return http.StatusUnauthorized, "Authentication is needed"
	case diaphone.Forbidden:
		return http.StatusForbidden, "Not allowed"
	case diaphone.NotFound:
		return http.StatusNotFound, "Not found"
	case methodNotAllowed:
		return http.StatusMethodNotAllowed, "The method is not allowed here"
	case diaphone.Conflict:
		return http.StatusConflict, "The request contradicts an earlier one"
	case diaphone.TooLarge:
		return http.StatusRequestEntityTooLarge, "Too large"
	case unsupportedMediaType:
		return http.StatusUnsupportedMediaType, "The body has a form that is not read here"
	case diaphone.Invalid:
		return http.StatusUnprocessableEntity, "A field is wrong"
	case diaphone.Limited:
		return http.StatusTooManyRequests, "Too many requests"
	case diaphone.Unavailable:
		return http.StatusServiceUnavailable, "Not available for now"
	case diaphone.StorageFull:
		return http.StatusInsufficientStorage, "The gateway's disk is full"
	}
	return http.StatusInternalServerError, "The gateway failed"
}

// asError gives every error its meaning. What nobody gave one is our fault, and
// its text is for the log only.
func asError(err error) *diaphone.Error {
	var (
		known    *diaphone.Error
		fromEcho *echo.HTTPError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &tooLarge):
		return diaphone.Errorf(diaphone.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case errors.As(err, &fromEcho):
		return fromHTTP(fromEcho)
	case errors.Is(err, storage.ErrClosed):
		return diaphone.Errorf(diaphone.Unavailable, "the gateway is shutting down")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &diaphone.Error{
			Code:   diaphone.Unavailable,
			Detail: "the gateway could not answer in time",
			Hint:   "whether the request took effect is unknown; with an Idempotency-Key it is safe to repeat",
		}
	}
	return diaphone.Errorf(diaphone.Internal, "the gateway could not do this; its log says why")
}

// fromHTTP reads the errors of echo's router, and of doors that refuse for a
// reason that only HTTP knows: then Message is shown to the caller.
func fromHTTP(e *echo.HTTPError) *diaphone.Error {
	switch e.Code {
	case http.StatusNotFound:
		return &diaphone.Error{Code: diaphone.NotFound, Detail: "there is nothing at this path", Hint: "GET /openapi.yaml lists all paths"}
	case http.StatusMethodNotAllowed:
		return &diaphone.Error{Code: methodNotAllowed, Detail: "this path does not have the method", Hint: "the header Allow lists those it has"}
	case http.StatusUnsupportedMediaType:
		return diaphone.Errorf(unsupportedMediaType, "%v", e.Message)
	}
	return diaphone.Errorf(diaphone.Internal, "the gateway could not do this; its log says why")
}

// retryAfter is what a caller is told who may try again: the error's own time,
// or a default of its code; zero for an error that time does not heal.
func retryAfter(e *diaphone.Error) time.Duration {
	switch {
	case e.RetryAfter > 0:
		return e.RetryAfter
	case e.Code == diaphone.Limited, e.Code == diaphone.Unavailable:
		return time.Second
	case e.Code == diaphone.StorageFull:
		return 30 * time.Second
	}
	return 0
}

// StatusOf gives the HTTP status that an error is answered with.
func StatusOf(err error) int {
	status, _ := kindOf(asError(err).Code)
	return status
}

// ProblemOf gives the problem document of an error.
func ProblemOf(c echo.Context, err error) wire.Problem {
	e := asError(err)
	status, title := kindOf(e.Code)
	code := e.Code
	if status == http.StatusInternalServerError {
		code = diaphone.Internal
	}
	p := wire.Problem{
		Type:      problemBase + string(code),
		Title:     title,
		Status:    status,
		Code:      string(code),
		Detail:    e.Detail,
		Instance:  c.Request().URL.EscapedPath(),
		RequestID: requestID(c),
		Hint:      e.Hint,
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, wire.FieldError(f))
	}
	return p
}

// respondProblem answers with the problem document of err. It is the only place
// where an error of the native API becomes the status of an answer.
func respondProblem(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := ProblemOf(c, err)
	body, merr := json.Marshal(p)
	if merr != nil { // a text that is not UTF-8
		body = fmt.Appendf(nil, `{"type":%q,"title":%q,"status":%d,"code":%q,"detail":"","instance":"","request_id":%q}`,
			p.Type, p.Title, p.Status, p.Code, p.RequestID)
	}
	if after := retryAfter(asError(err)); after > 0 {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	// The caller is gone when this fails, and the log has the status.
	_ = c.Blob(p.Status, "application/problem+json", body)
}
