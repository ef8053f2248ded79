package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Register creates or replaces a device as its backend says. A repeated registration is
// harmless and marks the device's tokens as fresh. The secret of an installation stays.
func (g *Gateway) Register(ctx context.Context, d diaphone.Device) (stored diaphone.Device, created bool, err error) {
	if err := g.admissible(&d); err != nil {
		return diaphone.Device{}, false, err
	}
	now := time.Now()
	return g.establish(ctx, d.App, d.ID, func(had diaphone.Device, _ bool) (diaphone.Device, error) { return byBackend(had, d, now), nil })
}

// establish has a change made that may make a new device, if the app may have one more.
func (g *Gateway) establish(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, change storage.Change) (stored diaphone.Device, created bool, err error) {
	refusal, err := g.crowded(ctx, app)
	if err != nil {
		return diaphone.Device{}, false, err
	}
	stored, created, err = g.parts.Devices.ChangeDevice(ctx, app, id, time.Now(), func(had diaphone.Device, known bool) (diaphone.Device, error) {
		if !known && refusal != nil {
			return had, refusal
		}
		return change(had, known)
	})
	if p := g.populations[app]; created && p != nil {
		p.grow()
	}
	return stored, created, err
}

// admissible refuses what no device may be.
func (g *Gateway) admissible(d *diaphone.Device) error {
	if err := d.Validate(); err != nil {
		return err
	}
	for i, t := range d.Tokens {
		if t.Kind != diaphone.TokenWebPush {
			continue
		}
		endpoint, _, _ := diaphone.SubscriptionText(t.Value)
		if err := g.parts.Endpoint(endpoint); err != nil {
			return diaphone.InvalidField(fmt.Sprintf("/tokens/%d/subscription/endpoint", i), "not_allowed", "%s", err)
		}
	}
	return nil
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

// Subscribe lets a device receive the notifications of a channel, or answers NotFound.
func (g *Gateway) Subscribe(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, c diaphone.ChannelName) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return g.changeKnown(ctx, app, id, func(d diaphone.Device) (diaphone.Device, error) { return listening(d, c) })
}

// Unsubscribe ends that.
func (g *Gateway) Unsubscribe(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, c diaphone.ChannelName) error {
	if err := c.Validate(); err != nil {
		return err
	}
	return g.changeKnown(ctx, app, id, func(d diaphone.Device) (diaphone.Device, error) { return notListening(d, c), nil })
}

// changeKnown has a rule change a device that its backend has named.
func (g *Gateway) changeKnown(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, rule func(diaphone.Device) (diaphone.Device, error)) error {
	_, _, err := g.parts.Devices.ChangeDevice(ctx, app, id, time.Now(), func(had diaphone.Device, known bool) (diaphone.Device, error) {
		if !known {
			return had, diaphone.Errorf(diaphone.NotFound, "no device %q", id)
		}
		return rule(had)
	})
	return err
}
