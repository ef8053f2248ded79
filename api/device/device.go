// Package device is the door for installed apps. An installation makes its device with
// the app's public key, and speaks for it from then on with the secret that it got (ADR 8).
// openapi.yaml is its contract; what an installation may do is package gateway's to say.
package device

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/gateway"
)

// MaxBody is the largest request body, in bytes.
const MaxBody = 16 << 10

// RequestTimeout is how long the gateway may work on one request before the caller is
// told to come again.
const RequestTimeout = 10 * time.Second

// Config names what the door needs.
type Config struct {
	Gateway *gateway.Gateway
	Metrics *Metrics // nil: nobody counts
}

// Door is an api.Door.
type Door struct {
	gateway *gateway.Gateway
	metrics *Metrics
}

// New builds the door.
func New(c Config) *Door { return &Door{gateway: c.Gateway, metrics: c.Metrics} }

// call is a request of an installation that has proved itself. Whatever a handler reads
// or changes, it does for this one: no path here has an id in it that could be exchanged.
type call struct {
	echo.Context
	installation *gateway.Installation
}

// ctx ends after RequestTimeout, or when the caller hangs up.
func (c *call) ctx() context.Context { return c.Request().Context() }

// Mount adds the routes. All but the one that makes a device go through the door's
// authentication; there is no other way to add one here.
func (d *Door) Mount(e *echo.Echo) {
	own := func(method, path string, handle func(*call) error) {
		e.Add(method, "/v1/device"+path, d.authenticated(handle))
	}
	e.POST("/v1/apps/:app_key/devices", d.enrol)
	own(http.MethodGet, "", d.show)
	own(http.MethodPut, "", d.renew)
	own(http.MethodDelete, "", d.retire)
	own(http.MethodPut, "/user", d.bindUser)
	own(http.MethodDelete, "/user", d.logout)
	own(http.MethodPut, "/channels/:channel", d.listen)
	own(http.MethodDelete, "/channels/:channel", d.unlisten)
}

// authenticated lets handle see only requests with the secret of a device.
func (d *Door) authenticated(handle func(*call) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		done := bound(c)
		defer done()
		i, err := d.gateway.Recognise(c.Request().Context(), strict.Bearer(c))
		if err == nil {
			c.Set(api.AppKey, string(i.App.ID))
			if err = fit(c, i.App); err == nil {
				err = handle(&call{Context: c, installation: i})
			}
		}
		d.metrics.count(err)
		if diaphone.CodeOf(err) == diaphone.Unauthorized {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="diaphone", error="invalid_token"`)
		}
		return err
	}
}

// bound gives a request its time.
func bound(c echo.Context) (done func()) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), RequestTimeout)
	c.SetRequest(c.Request().WithContext(ctx))
	return cancel
}

// fit refuses what belongs to an app that is out of use, and query parameters: no route
// has any.
func fit(c echo.Context, a *diaphone.App) error {
	if a.Disabled {
		return &diaphone.Error{Code: diaphone.Forbidden, Detail: "the app is disabled", Hint: "whoever runs the gateway has set enabled: false in its apps file"}
	}
	_, err := strict.Query(c.Request().URL.RawQuery, nil)
	return err
}
