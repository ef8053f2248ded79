package device

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// readable lets the page that has asked read the answer (CORS). Nothing here goes by
// cookies, so a page gets nothing but what the secret that it has opens; pages that the
// app does not admit are refused before anything happens, and may read that.
func readable(handle echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		allow(c)
		return handle(c)
	}
}

func allow(c echo.Context) {
	h := c.Response().Header()
	h.Add(echo.HeaderVary, echo.HeaderOrigin)
	if origin := c.Request().Header.Get(echo.HeaderOrigin); origin != "" {
		h.Set(echo.HeaderAccessControlAllowOrigin, origin)
		h.Set(echo.HeaderAccessControlExposeHeaders, "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy")
	}
}

// preflight is asked without the secret, so no app is known that could object: it lets
// every page ask.
func preflight(c echo.Context) error {
	allow(c)
	h := c.Response().Header()
	h.Set(echo.HeaderAccessControlAllowMethods, "GET, POST, PUT, DELETE")
	h.Set(echo.HeaderAccessControlAllowHeaders, "Authorization, Content-Type, X-Request-Id")
	h.Set(echo.HeaderAccessControlMaxAge, "7200") // no browser keeps it longer
	return c.NoContent(http.StatusNoContent)
}
