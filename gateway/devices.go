package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Register creates or replaces a device. A repeated registration is harmless
// and marks the device's tokens as fresh.
func (g *Gateway) Register(ctx context.Context, d diaphone.Device) (stored diaphone.Device, created bool, err error) {
	if err := d.Validate(); err != nil {
		return diaphone.Device{}, false, err
	}
	for i, t := range d.Tokens {
		if t.Kind != diaphone.TokenWebPush {
			continue
		}
		endpoint, _, _ := diaphone.SubscriptionText(t.Value)
		if err := g.parts.Endpoint(endpoint); err != nil {
			return diaphone.Device{}, false, diaphone.InvalidField(fmt.Sprintf("/tokens/%d/subscription/endpoint", i), "not_allowed", "%s", err)
		}
	}
	return g.parts.Devices.PutDevice(ctx, d, time.Now())
}

// Device gives one device, or NotFound.
func (g *Gateway) Device(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) (diaphone.Device, error) {
	return g.parts.Devices.Device(ctx, app, id)
}

// Forget deletes a device, or answers NotFound.
func (g *Gateway) Forget(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) error {
	return g.parts.Devices.DeleteDevice(ctx, app, id)
}

// ListDevices gives a page of the app's devices, or of one user's.
func (g *Gateway) ListDevices(ctx context.Context, app diaphone.AppID, user diaphone.UserID, page storage.Page) ([]diaphone.Device, string, error) {
	return g.parts.Devices.ListDevices(ctx, app, user, page)
}

// Subscribe lets a device receive the notifications of a channel.
func (g *Gateway) Subscribe(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, c diaphone.ChannelName) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return g.parts.Devices.Subscribe(ctx, app, id, c)
}

// Unsubscribe ends that.
func (g *Gateway) Unsubscribe(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, c diaphone.ChannelName) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return g.parts.Devices.Unsubscribe(ctx, app, id, c)
}
