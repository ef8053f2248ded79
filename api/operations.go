package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/diaphone-dev/diaphone"
)

// readyTimeout is how long /readyz waits for the parts.
const readyTimeout = 2 * time.Second

// mountOperations adds the routes for operators. They need no authentication
// and tell nothing of any tenant.
func mountOperations(e *echo.Echo, c Config) {
	e.GET("/livez", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "alive"})
	})
	e.GET("/readyz", readyz(c.Ready))
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(c.Registry, promhttp.HandlerOpts{})))
	e.GET("/openapi.yaml", serveSpec(diaphone.OpenAPI()))
}

type readiness struct {
	Status  string    `json:"status"`
	Reasons *[]Reason `json:"reasons,omitempty"`
}

func readyz(ready func(context.Context) []Reason) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
		defer cancel()
		reasons := ready(ctx)
		answer, status := readiness{Status: "ready"}, http.StatusOK
		if len(reasons) > 0 {
			answer.Status, status = "not_ready", http.StatusServiceUnavailable
		}
		if c.QueryParams().Has("verbose") {
			told := append([]Reason{}, reasons...) // never null
			answer.Reasons = &told
		}
		return c.JSON(status, answer)
	}
}

// serveSpec serves the contract. It changes with the binary only, so a caller
// may keep it but asks each time whether it still holds.
func serveSpec(spec []byte) echo.HandlerFunc {
	sum := sha256.Sum256(spec)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("ETag", etag)
		h.Set("Cache-Control", "no-cache")
		if matches(c.Request().Header.Get("If-None-Match"), etag) {
			return c.NoContent(http.StatusNotModified)
		}
		return c.Blob(http.StatusOK, "application/yaml", spec) // RFC 9512
	}
}

// matches compares weakly, as RFC 9110 §13.1.2 asks.
func matches(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}
