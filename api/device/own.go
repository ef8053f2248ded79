package device

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/internal/throttle"
)

// enrol makes a device for whoever has the app's public key, which is everybody.
func (d *Door) enrol(c echo.Context) error {
	defer bound(c)()
	key, err := strict.Param(c, "app_key")
	if err != nil {
		return err
	}
	app := d.gateway.Apps().ByKey(key)
	if app == nil {
		api.HidePath(c) // whoever mixes things up may have put a secret there
		return diaphone.Errorf(diaphone.NotFound, "no app has this key")
	}
	c.Set(api.AppKey, string(app.ID))
	if err := fit(c, app); err != nil {
		return err
	}
	if !app.Enrolment {
		return &diaphone.Error{Code: diaphone.Forbidden, Detail: "the app does not let installations make devices", Hint: "whoever runs the gateway can set enrolment: true in its apps file; else the app's backend registers devices"}
	}
	room := d.enrolments.Take(enroller{app.ID, throttle.Address(c.RealIP())}, app.Limits.MaxEnrolments())
	if err := limited(c, "enrolments", room, "make a device once and keep its secret; limits.enrolments_per_minute, for each address, can be raised"); err != nil {
		return err
	}
	said, err := read(c)
	if err != nil {
		return err
	}
	stored, secret, err := d.gateway.Enrol(c.Request().Context(), app, said)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/device")
	return c.JSON(http.StatusCreated, wire.Enrolled{Device: wire.DeviceOf(&stored), Secret: secret.Reveal()})
}

func (d *Door) show(c *call) error {
	return c.JSON(http.StatusOK, wire.DeviceOf(&c.installation.Device))
}

func (d *Door) renew(c *call) error {
	said, err := read(c)
	if err != nil {
		return err
	}
	stored, err := d.gateway.Renew(c.ctx(), c.installation, said)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, wire.DeviceOf(&stored))
}

func (d *Door) retire(c *call) error {
	if err := d.gateway.Retire(c.ctx(), c.installation); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// read gives what an installation says of its device.
func read(c echo.Context) (diaphone.Device, error) {
	body, err := strict.Body(c, MaxBody)
	if err != nil {
		return diaphone.Device{}, err
	}
	in, err := strict.Decode[wire.NewInstallation](body)
	if err != nil {
		return diaphone.Device{}, err
	}
	d := diaphone.Device{Platform: in.Platform, Locale: in.Locale, TimeZone: in.TimeZone}
	d.Tokens, err = wire.TokensOf(in.Tokens)
	return d, err
}
