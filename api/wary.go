package api

import (
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/throttle"
)

// wary lets an address whose requests to the native API were refused with 401 too often
// wait, before anybody looks at what it has to show. The default of --failed-auths is far
// more than all phones behind one address do by mistake.
type wary struct {
	perMinute int // 0: no limit
	failures  throttle.Limiter[netip.Prefix]
}

// let has a request handled, unless its address has to wait.
func (w *wary) let(next echo.HandlerFunc, c echo.Context) error {
	if w.perMinute <= 0 || !strings.HasPrefix(c.Request().URL.Path, "/v1/") {
		return guarded(next, c)
	}
	address := throttle.Address(c.RealIP())
	if room := w.failures.Look(address, w.perMinute); room.Wait > 0 {
		ShowRoom(c.Response().Header(), "failures", room)
		return &diaphone.Error{
			Code: diaphone.Limited, Detail: "too many requests of this address were refused with 401", RetryAfter: room.Wait,
			Hint: "send a token that is good; whoever runs the gateway can raise --failed-auths, and name its proxies with --trusted-proxies",
		}
	}
	err := guarded(next, c)
	if diaphone.CodeOf(err) == diaphone.Unauthorized {
		w.failures.Take(address, w.perMinute)
	}
	return err
}
