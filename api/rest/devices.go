package rest

import (
	"fmt"
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

func deviceOf(app diaphone.AppID, id diaphone.DeviceID, in *wire.NewDevice) (diaphone.Device, error) {
	d := diaphone.Device{
		App: app, ID: id, Platform: in.Platform, User: in.UserID, Channels: in.Channels,
		Locale: in.Locale, TimeZone: in.TimeZone, Tags: in.Tags,
	}
	for i, t := range in.Tokens {
		value, err := valueOf(fmt.Sprintf("/tokens/%d", i), &t)
		if err != nil {
			return d, err
		}
		d.Tokens = append(d.Tokens, diaphone.Token{Kind: t.Kind, Value: value, Environment: t.Environment})
	}
	return d, nil
}

// valueOf gives the token's text. What it has to look like is the gateway's to
// know; that it stands in the field of its kind is the document's.
func valueOf(at string, t *wire.NewToken) (diaphone.Secret, error) {
	isSubscription := t.Kind == diaphone.TokenWebPush
	switch {
	case isSubscription && t.Subscription == nil:
		return "", diaphone.InvalidField(at+"/subscription", "required", "a token of kind %s is a subscription: what the browser's PushSubscription.toJSON() gives", t.Kind)
	case isSubscription && t.Value != "":
		return "", diaphone.InvalidField(at+"/value", "not_allowed", "a token of kind %s is a subscription and has no value", t.Kind)
	case isSubscription:
		s := t.Subscription
		return diaphone.SubscriptionToken(s.Endpoint, s.Keys.P256DH, s.Keys.Auth), nil
	case t.Subscription != nil:
		return "", diaphone.InvalidField(at+"/subscription", "not_allowed", "only a token of kind %s is a subscription; others have a value", diaphone.TokenWebPush)
	}
	return diaphone.Secret(t.Value), nil
}

func deviceOut(d *diaphone.Device) wire.Device {
	out := wire.Device{
		ID: d.ID, Platform: d.Platform, UserID: d.User, Tokens: make([]wire.Token, len(d.Tokens)),
		Channels: append([]diaphone.ChannelName{}, d.Channels...), // never null
		Locale:   d.Locale, TimeZone: d.TimeZone, Tags: d.Tags,
		CreatedAt: wire.At(d.CreatedAt), UpdatedAt: wire.At(d.UpdatedAt),
	}
	for i, t := range d.Tokens {
		out.Tokens[i] = tokenOut(&t)
	}
	return out
}

func tokenOut(t *diaphone.Token) wire.Token {
	out := wire.Token{Kind: t.Kind, Environment: t.Environment, Fingerprint: t.Value.Fingerprint(), RegisteredAt: wire.At(t.RegisteredAt)}
	if t.Kind == diaphone.TokenWebPush {
		endpoint, p256dh, auth := diaphone.SubscriptionText(t.Value)
		out.Subscription = &wire.Subscription{Endpoint: endpoint, Keys: wire.SubscriptionKeys{P256DH: p256dh, Auth: auth}}
		return out
	}
	out.Value = t.Value.Reveal()
	return out
}
