package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

func TestErrorsBecomeProblems(t *testing.T) {
	for _, c := range []struct {
		name       string
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{"malformed", diaphone.Errorf(diaphone.Malformed, "d"), 400, "malformed", ""},
		{"unauthorized", diaphone.Errorf(diaphone.Unauthorized, "d"), 401, "unauthorized", ""},
		{"forbidden", diaphone.Errorf(diaphone.Forbidden, "d"), 403, "forbidden", ""},
		{"not found", diaphone.Errorf(diaphone.NotFound, "d"), 404, "not_found", ""},
		{"no route", echo.ErrNotFound, 404, "not_found", ""},
		{"no method", echo.ErrMethodNotAllowed, 405, "method_not_allowed", ""},
		{"conflict", diaphone.Errorf(diaphone.Conflict, "d"), 409, "conflict", ""},
		{"too large", diaphone.Errorf(diaphone.TooLarge, "d"), 413, "too_large", ""},
		{"over the last limit", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 7}), 413, "too_large", ""},
		{"media type", echo.NewHTTPError(http.StatusUnsupportedMediaType, "d"), 415, "unsupported_media_type", ""},
		{"invalid", diaphone.InvalidField("/a", "b", "d"), 422, "invalid", ""},
		{"limited", diaphone.Errorf(diaphone.Limited, "d"), 429, "rate_limited", "1"},
		{"limited, with a time", &diaphone.Error{Code: diaphone.Limited, RetryAfter: 1200 * time.Millisecond}, 429, "rate_limited", "2"},
		{"internal", diaphone.Errorf(diaphone.Internal, "d"), 500, "internal", ""},
		{"anything", errors.New("secret cause"), 500, "internal", ""},
		{"other of echo", echo.NewHTTPError(http.StatusTeapot, "secret cause"), 500, "internal", ""},
		{"a code nobody knows", diaphone.Errorf("novel", "d"), 500, "internal", ""},
		{"unavailable", &diaphone.Error{Code: diaphone.Unavailable, RetryAfter: time.Minute}, 503, "unavailable", "60"},
		{"store closed", fmt.Errorf("accept: %w", storage.ErrClosed), 503, "unavailable", "1"},
		{"deadline", fmt.Errorf("accept: %w", context.DeadlineExceeded), 503, "unavailable", "1"},
		{"caller gone", fmt.Errorf("accept: %w", context.Canceled), 503, "unavailable", "1"},
		{"disk full", diaphone.Errorf(diaphone.StorageFull, "d"), 507, "storage_full", "30"},
		{"wrapped", fmt.Errorf("accept: %w", &diaphone.Error{Code: diaphone.StorageFull, Detail: "d", Err: errors.New("secret cause")}), 507, "storage_full", "30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			ctx := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/v1/x%20y?secret=1", nil), w)
			ctx.Response().Header().Set(echo.HeaderXRequestID, "r1")
			respondProblem(c.err, ctx)
			var p wire.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if w.Code != c.status || p.Status != c.status || p.Code != c.code || p.Type != problemBase+c.code || w.Header().Get("Retry-After") != c.retryAfter {
				t.Errorf("got %d, Retry-After %q, %+v", w.Code, w.Header().Get("Retry-After"), p)
			}
			if p.Title == "" || p.Instance != "/v1/x%20y" || p.RequestID != "r1" || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %q %+v", w.Header().Get("Content-Type"), p)
			}
			if p.Detail == "secret cause" {
				t.Error("the cause is for the log, not for the caller")
			}
		})
	}
}

// A text that is no UTF-8 must not cost the caller the whole answer.
func TestProblemOfBrokenText(t *testing.T) {
	w := httptest.NewRecorder()
	respondProblem(diaphone.Errorf(diaphone.Invalid, "\xff"), echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), w))
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != "invalid" || w.Code != 422 {
		t.Errorf("%v: %s", err, w.Body)
	}
}
