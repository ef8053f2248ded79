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
	stored, created, err := d.gateway.Register(c.ctx(), deviceOf(c.app.ID, id, &in))
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set(echo.HeaderLocation, "/v1/devices/"+url.PathEscape(string(id)))
	}
	return c.reply(status, deviceOut(&stored))
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
	return c.reply(http.StatusOK, deviceOut(&found))
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
		out.Data[i] = deviceOut(&found[i])
	}
	c.linkNext(next)
	return c.reply(http.StatusOK, out)
}

func deviceOf(app diaphone.AppID, id diaphone.DeviceID, in *wire.NewDevice) diaphone.Device {
	d := diaphone.Device{
		App: app, ID: id, Platform: in.Platform, User: in.UserID, Channels: in.Channels,
		Locale: in.Locale, TimeZone: in.TimeZone, Tags: in.Tags,
	}
	for _, t := range in.Tokens {
		d.Tokens = append(d.Tokens, diaphone.Token{Kind: t.Kind, Value: diaphone.Secret(t.Value), Environment: t.Environment})
	}
	return d
}

func deviceOut(d *diaphone.Device) wire.Device {
	out := wire.Device{
		ID: d.ID, Platform: d.Platform, UserID: d.User, Tokens: make([]wire.Token, len(d.Tokens)),
		Channels: append([]diaphone.ChannelName{}, d.Channels...), // never null
		Locale:   d.Locale, TimeZone: d.TimeZone, Tags: d.Tags,
		CreatedAt: wire.At(d.CreatedAt), UpdatedAt: wire.At(d.UpdatedAt),
	}
	for i, t := range d.Tokens {
		out.Tokens[i] = wire.Token{
			Kind: t.Kind, Value: t.Value.Reveal(), Environment: t.Environment, Fingerprint: t.Value.Fingerprint(), RegisteredAt: wire.At(t.RegisteredAt),
		}
	}
	return out
}
