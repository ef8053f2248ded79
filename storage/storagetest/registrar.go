package storagetest

import (
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Put has the store hold the device just as it is given, with tokens registered now.
// It is for the tests of every package.
func Put(ctx context.Context, s storage.Devices, d diaphone.Device, now time.Time) (stored diaphone.Device, created bool, err error) {
	return s.ChangeDevice(ctx, d.App, d.ID, now, func(diaphone.Device, bool) (diaphone.Device, error) {
		next := d
		next.Tokens = slices.Clone(d.Tokens)
		for i := range next.Tokens {
			next.Tokens[i].RegisteredAt = now
		}
		return next, nil
	})
}

// Join has a device listen to a channel, or answers NotFound.
func Join(ctx context.Context, s storage.Devices, app diaphone.AppID, id diaphone.DeviceID, c diaphone.ChannelName) error {
	return alter(ctx, s, app, id, func(d *diaphone.Device) { d.Channels = append(d.Channels, c) })
}

// Leave ends that.
func Leave(ctx context.Context, s storage.Devices, app diaphone.AppID, id diaphone.DeviceID, c diaphone.ChannelName) error {
	return alter(ctx, s, app, id, func(d *diaphone.Device) {
		d.Channels = slices.DeleteFunc(d.Channels, func(have diaphone.ChannelName) bool { return have == c })
	})
}

func alter(ctx context.Context, s storage.Devices, app diaphone.AppID, id diaphone.DeviceID, change func(*diaphone.Device)) error {
	_, _, err := s.ChangeDevice(ctx, app, id, time.Now(), func(d diaphone.Device, known bool) (diaphone.Device, error) {
		if !known {
			return d, diaphone.Errorf(diaphone.NotFound, "no device %q", id)
		}
		change(&d)
		return d, nil
	})
	return err
}
