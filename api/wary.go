package api

import (
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/throttle"
)

// wary tells an address whose requests to the native API were refused with 401 too often
// to wait. A credential that is good passes all the same: else whoever shares an address with
// a backend, or a proxy that nobody has named, could silence it. The default of
// --failed-auths is far more than all phones behind one address do by mistake.
type wary struct {
	perMinute int // 0: no limit
	failures  throttle.Limiter[netip.Prefix]
}

// let has a request handled. One that is refused with 401, as too many of its address
// were before it, is told to wait instead.
func (w *wary) let(next echo.HandlerFunc, c echo.Context) error {
	if w.perMinute <= 0 || !strings.HasPrefix(c.Request().URL.Path, "/v1/") {
		return guarded(next, c)
	}
	err := guarded(next, c)
	if diaphone.CodeOf(err) != diaphone.Unauthorized {
		return err
	}
	room := w.failures.Take(throttle.Address(c.RealIP()), w.perMinute)
	if room.Wait == 0 {
		return err
	}
	ShowRoom(c.Response().Header(), "failures", room)
	return &diaphone.Error{
		Code: diaphone.Limited, Detail: "too many requests of this address were refused with 401, as this one would be", RetryAfter: room.Wait, Err: err,
		Hint: "send a token that is good; whoever runs the gateway can raise --failed-auths, and name its proxies with --trusted-proxies",
	}
}
