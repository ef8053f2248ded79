package rest

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

func (d *Door) putDevice(c *call) error {
	id, err := c.deviceID()
	if err != nil {
		return err
	}
	body, err := readBody(c, MaxDeviceBody)
	if err != nil {
		return err
	}
	in, err := decode[wire.NewDevice](body)
	if err != nil {
		return err
	}
	device, err := deviceOf(c.app.ID, id, &in)
	if err != nil {
		return err
	}
	stored, created, err := d.gateway.Register(c.ctx(), device)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set(echo.HeaderLocation, "/v1/devices/"+url.PathEscape(string(id)))
	}
	return c.reply(status, wire.DeviceOf(&stored))
}

func (d *Door) device(c *call) error {
	id, err := c.deviceID()
	if err != nil {
		return err
	}
	found, err := d.gateway.Device(c.ctx(), c.app.ID, id)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.DeviceOf(&found))
}

func (d *Door) deleteDevice(c *call) error {
	id, err := c.deviceID()
	if err != nil {
		return err
	}
	if err := d.gateway.Forget(c.ctx(), c.app.ID, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (d *Door) newSecret(c *call) error {
	id, err := c.deviceID()
	if err != nil {
		return err
	}
	secret, err := d.gateway.NewSecret(c.ctx(), c.app.ID, id)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.DeviceSecret{Secret: secret.Reveal()})
}

func (d *Door) listDevices(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	user := diaphone.UserID(c.query.Get("user_id"))
	if c.query.Has("user_id") {
		if err := at("/user_id", user.Validate()); err != nil {
			return err
		}
	}
	found, next, err := d.gateway.ListDevices(c.ctx(), c.app.ID, user, p)
	if err != nil {
		return err
	}
	out := wire.Page[wire.Device]{Data: make([]wire.Device, len(found)), NextCursor: next}
	for i := range found {
		out.Data[i] = wire.DeviceOf(&found[i])
	}
	c.linkNext(next)
	return c.reply(http.StatusOK, out)
}

func deviceOf(app diaphone.AppID, id diaphone.DeviceID, in *wire.NewDevice) (diaphone.Device, error) {
	d := diaphone.Device{
		App: app, ID: id, Platform: in.Platform, User: in.UserID, Channels: in.Channels,
		Locale: in.Locale, TimeZone: in.TimeZone, Tags: in.Tags,
	}
	var err error
	d.Tokens, err = wire.TokensOf(in.Tokens)
	return d, err
}
