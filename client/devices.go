package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// PutDevice registers or replaces a device.
func (c *Client) PutDevice(ctx context.Context, id diaphone.DeviceID, d wire.NewDevice) (wire.Device, error) {
	var stored wire.Device
	_, err := c.do(ctx, request{method: http.MethodPut, path: devicePath(id), body: d}, &stored)
	return stored, err
}

// Device looks a device up.
func (c *Client) Device(ctx context.Context, id diaphone.DeviceID) (wire.Device, error) {
	var d wire.Device
	_, err := c.do(ctx, request{method: http.MethodGet, path: devicePath(id)}, &d)
	return d, err
}

// Devices gives a page of the app's devices, or of one user's (empty: all).
func (c *Client) Devices(ctx context.Context, user diaphone.UserID, o PageOptions) (wire.Page[wire.Device], error) {
	q := o.query()
	if user != "" {
		q.Set("user_id", string(user))
	}
	var p wire.Page[wire.Device]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/devices", query: q}, &p)
	return p, err
}

// AllDevices walks through all pages. It ends after the first error.
func (c *Client) AllDevices(ctx context.Context, user diaphone.UserID) iter.Seq2[wire.Device, error] {
	return all(func(o PageOptions) (wire.Page[wire.Device], error) { return c.Devices(ctx, user, o) })
}

// DeleteDevice forgets a device.
func (c *Client) DeleteDevice(ctx context.Context, id diaphone.DeviceID) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: devicePath(id)}, nil)
	return err
}

// NewDeviceSecret makes a secret by which the installation on a device can speak for it,
// and ends the one before. It is told only once: hand it to the installation.
func (c *Client) NewDeviceSecret(ctx context.Context, id diaphone.DeviceID) (diaphone.Secret, error) {
	var d wire.DeviceSecret
	_, err := c.do(ctx, request{method: http.MethodPost, path: devicePath(id) + "/secret"}, &d)
	return diaphone.Secret(d.Secret), err
}

// Subscribe lets a device receive the notifications of a channel.
func (c *Client) Subscribe(ctx context.Context, id diaphone.DeviceID, channel diaphone.ChannelName) error {
	_, err := c.do(ctx, request{method: http.MethodPut, path: channelPath(id, channel)}, nil)
	return err
}

// Unsubscribe ends that.
func (c *Client) Unsubscribe(ctx context.Context, id diaphone.DeviceID, channel diaphone.ChannelName) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: channelPath(id, channel)}, nil)
	return err
}

func devicePath(id diaphone.DeviceID) string { return "/v1/devices/" + url.PathEscape(string(id)) }

func channelPath(id diaphone.DeviceID, channel diaphone.ChannelName) string {
	return devicePath(id) + "/channels/" + url.PathEscape(string(channel))
}
