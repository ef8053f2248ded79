// Package device is the door for installed apps. An installation makes its device with
// the app's public key, and speaks for it from then on with the secret that it got (ADR 8).
// openapi.yaml is its contract; what an installation may do is package gateway's to say.
package device

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/internal/throttle"
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
	gateway    *gateway.Gateway
	metrics    *Metrics
	enrolments throttle.Limiter[enroller]
	calls      throttle.Limiter[diaphone.TokenHash] // by the secret, proved or not
}

// enroller is an address at the door of an app.
type enroller struct {
	app     diaphone.AppID
	address netip.Prefix
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
// authentication; there is no other way to add one here. Pages of browsers may use each.
func (d *Door) Mount(e *echo.Echo) {
	own := func(method, path string, handle func(*call) error) {
		e.Add(method, "/v1/device"+path, readable(d.authenticated(handle)))
	}
	e.POST("/v1/apps/:app_key/devices", readable(d.enrol))
	for _, path := range []string{"/v1/apps/:app_key/devices", "/v1/device", "/v1/device/user", "/v1/device/channels/:channel", "/v1/device/receipts"} {
		e.OPTIONS(path, preflight)
	}
	own(http.MethodGet, "", d.show)
	own(http.MethodPut, "", d.renew)
	own(http.MethodDelete, "", d.retire)
	own(http.MethodPut, "/user", d.bindUser)
	own(http.MethodDelete, "/user", d.logout)
	own(http.MethodPut, "/channels/:channel", d.listen)
	own(http.MethodDelete, "/channels/:channel", d.unlisten)
	own(http.MethodPost, "/receipts", d.report)
}

// authenticated lets handle see only requests with the secret of a device. How often one
// may come is counted by what it shows, before anything is read from the disk: whoever
// makes secrets up for somebody's device uses up nothing of it.
func (d *Door) authenticated(handle func(*call) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		defer bound(c)()
		secret := strict.Bearer(c)
		i, err := d.recognise(c, secret)
		if err == nil {
			err = handle(&call{Context: c, installation: i})
		}
		d.metrics.count(err)
		if diaphone.CodeOf(err) == diaphone.Unauthorized {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="diaphone", error="invalid_token"`)
		}
		return err
	}
}

func (d *Door) recognise(c echo.Context, secret string) (*gateway.Installation, error) {
	if app := d.gateway.AppOfSecret(secret); app != nil {
		room := d.calls.Take(diaphone.HashToken(secret), app.Limits.MaxDeviceCalls())
		if err := limited(c, "device", room, "an installation calls at its start, when its token changes, and when its user does; limits.device_calls_per_minute can be raised"); err != nil {
			return nil, err
		}
	}
	i, err := d.gateway.Recognise(c.Request().Context(), secret)
	if err != nil {
		return nil, err
	}
	c.Set(api.AppKey, string(i.App.ID))
	return i, fit(c, i.App)
}

// limited tells what is left of a rate, and refuses when nothing is.
func limited(c echo.Context, policy string, room throttle.Room, hint string) error {
	api.ShowRoom(c.Response().Header(), policy, room)
	if room.Wait == 0 {
		return nil
	}
	return &diaphone.Error{Code: diaphone.Limited, Detail: fmt.Sprintf("more than %d requests a minute", room.Limit), Hint: hint, RetryAfter: room.Wait}
}

// bound gives a request its time.
func bound(c echo.Context) (done func()) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), RequestTimeout)
	c.SetRequest(c.Request().WithContext(ctx))
	return cancel
}

// fit refuses what belongs to an app that is out of use, pages of origins that it does not
// admit, and query parameters: no route has any.
func fit(c echo.Context, a *diaphone.App) error {
	if a.Disabled {
		return &diaphone.Error{Code: diaphone.Forbidden, Detail: "the app is disabled", Hint: "whoever runs the gateway has set enabled: false in its apps file"}
	}
	if !a.Channels.Admits(c.Request().Header.Get(echo.HeaderOrigin)) {
		return &diaphone.Error{Code: diaphone.Forbidden, Detail: "the app does not admit pages of this origin", Hint: "whoever runs the gateway can add it to channels.origins in the apps file"}
	}
	_, err := strict.Query(c.Request().URL.RawQuery, nil)
	return err
}
