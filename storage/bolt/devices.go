package bolt

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func noDevice(id diaphone.DeviceID) error {
	return diaphone.Errorf(diaphone.NotFound, "no device %q", string(id[:min(len(id), 128)]))
}

// ChangeDevice implements storage.Devices.
func (s *Store) ChangeDevice(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, now time.Time, change storage.Change) (stored diaphone.Device, created bool, err error) {
	now = stamp(now)
	err = s.write(ctx, moves, func(t *txn) error {
		old, known, err := t.deviceByID(app, id)
		if err != nil {
			return err
		}
		given := diaphone.Device{App: app, ID: id}
		if known {
			given = copyOf(&old.Device)
		}
		wanted, err := change(given, known)
		if err != nil {
			return err
		}
		wanted.App, wanted.ID = app, id
		if grows(old, &wanted) {
			if err := t.mayAdd(); err != nil {
				return err
			}
		}
		next, err := t.succeed(old, &wanted, now)
		if err != nil {
			return err
		}
		stored, created = next.Device, !known
		if known && now.Sub(old.UpdatedAt) < lifeSign && bytes.Equal(next.record(), old.record()) {
			return nil
		}
		next.UpdatedAt, stored.UpdatedAt = now, now
		return t.store(old, next)
	})
	if err != nil {
		return diaphone.Device{}, false, err
	}
	return stored, created, nil
}

// lifeSign is how old a record may become that is written again as it was: SweepDevices
// goes by its age.
const lifeSign = 24 * time.Hour

// copyOf keeps the record at hand from what is done to a device that it gives away.
func copyOf(d *diaphone.Device) diaphone.Device {
	given := *d
	given.Tokens, given.Channels, given.Tags = slices.Clone(d.Tokens), slices.Clone(d.Channels), maps.Clone(d.Tags)
	return given
}

// grows tells whether a change needs room: nothing else of a device is of note on a
// full disk, and who logs out or leaves must be able to.
func grows(old *device, d *diaphone.Device) bool {
	return old == nil || len(d.Tokens) > len(old.Tokens) || len(d.Channels) > len(old.Channels)
}

// succeed works out the record that replaces old (nil: none): who and what stays
// keeps its store order, what is new takes one.
func (t *txn) succeed(old *device, wanted *diaphone.Device, now time.Time) (*device, error) {
	next := &device{Device: *wanted}
	next.BindsFrom = stamp(wanted.BindsFrom)
	next.Tokens = slices.Clone(wanted.Tokens)
	for i := range next.Tokens {
		token := &next.Tokens[i]
		token.RegisteredAt, token.GoneAt = stamp(token.RegisteredAt), stamp(token.GoneAt)
	}
	next.Channels = nil
	if len(next.Tags) == 0 {
		next.Tags = nil
	}
	var err error
	if old == nil {
		next.CreatedAt, next.UpdatedAt = now, now
		if next.num, err = t.nextOrder(); err != nil {
			return nil, err
		}
	} else {
		next.num, next.lost, next.CreatedAt, next.UpdatedAt = old.num, old.lost, old.CreatedAt, old.UpdatedAt
		next.keepChannels(old, wanted.Channels)
		if old.User != "" && old.User == wanted.User {
			next.userSince = old.userSince
		}
		if old.User != "" && old.User != wanted.User || len(next.Channels) < len(old.Channels) {
			if next.lost, err = t.nextOrder(); err != nil {
				return nil, err
			}
		}
	}
	if next.User != "" && next.userSince == 0 {
		if next.userSince, err = t.nextOrder(); err != nil {
			return nil, err
		}
	}
	for _, c := range wanted.Channels {
		if err := t.join(next, c); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// keepChannels takes over those of old's channels that are wanted, in their order.
func (d *device) keepChannels(old *device, wanted []diaphone.ChannelName) {
	keep := make(map[diaphone.ChannelName]bool, len(wanted))
	for _, c := range wanted {
		keep[c] = true
	}
	for i, c := range old.Channels {
		if keep[c] {
			d.Channels = append(d.Channels, c)
			d.since = append(d.since, old.since[i])
		}
	}
}

// join adds a channel to the record, unless it is there.
func (t *txn) join(d *device, c diaphone.ChannelName) error {
	if slices.Contains(d.Channels, c) {
		return nil
	}
	order, err := t.nextOrder()
	if err != nil {
		return err
	}
	d.Channels = append(slices.Clip(d.Channels), c)
	d.since = append(slices.Clip(d.since), order)
	return nil
}

// store writes next in place of old (nil: none) with all its index entries.
func (t *txn) store(old, next *device) error {
	if old == nil {
		old = &device{}
	}
	if err := t.unlink(old, next); err != nil {
		return err
	}
	// What old had is in the indexes already: an app that registers at every start
	// costs one record.
	for _, in := range []bucket{inIDs, inUsers, inChannels} {
		have := in.hashes(old)
		for _, hash := range in.hashes(next) {
			if slices.Contains(have, hash) {
				continue
			}
			if err := t.index(in, next.App).add(pair{hash, next.num}); err != nil {
				return err
			}
		}
	}
	for _, token := range next.Tokens {
		if slices.ContainsFunc(old.Tokens, func(had diaphone.Token) bool { return sameToken(had, token) }) {
			continue
		}
		if err := t.take(next, token); err != nil {
			return err
		}
	}
	return t.putDevice(next)
}

func (t *txn) putDevice(d *device) error {
	return t.put(inDevices, deviceKey(d.App, d.num), d.record())
}

// unlink removes the index entries of old that next does not have.
func (t *txn) unlink(old, next *device) error {
	for _, in := range []bucket{inUsers, inChannels, inTokens} {
		keep := in.hashes(next)
		for _, hash := range in.hashes(old) {
			if slices.Contains(keep, hash) {
				continue
			}
			if err := t.index(in, old.App).remove(pair{hash, old.num}); err != nil {
				return err
			}
		}
	}
	return nil
}

// take points the token's index entry at d, and ends the device that held the token:
// it is never transferred.
func (t *txn) take(d *device, token diaphone.Token) error {
	hash := hashToken(token)
	var holders []uint64
	err := t.index(inTokens, d.App).after(hash, 0, func(num uint64) bool {
		if num != d.num {
			holders = append(holders, num)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, num := range holders {
		if err := t.endHolder(d.App, num, token); err != nil {
			return err
		}
	}
	return t.index(inTokens, d.App).add(pair{hash, d.num})
}

// endHolder deletes another device, if it holds the token.
func (t *txn) endHolder(app diaphone.AppID, num uint64, token diaphone.Token) error {
	holder, ok, err := t.device(app, num)
	if isDamage(err) || err == nil && !ok {
		return t.index(inTokens, app).remove(pair{hashToken(token), num})
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(holder.Tokens, func(have diaphone.Token) bool { return sameToken(have, token) }) {
		return nil // another token with the same hash
	}
	return t.deleteDevice(holder)
}

// deleteDevice removes a device with all its index entries.
func (t *txn) deleteDevice(d *device) error {
	if err := t.unlink(d, &device{}); err != nil {
		return err
	}
	if err := t.index(inIDs, d.App).remove(pair{hashOf(string(d.ID)), d.num}); err != nil {
		return err
	}
	return t.delete(inDevices, deviceKey(d.App, d.num))
}

func sameToken(a, b diaphone.Token) bool { return a.Kind == b.Kind && a.Value == b.Value }

// DeleteDevice implements storage.Devices.
func (s *Store) DeleteDevice(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) error {
	return s.write(ctx, moves, func(t *txn) error {
		d, ok, err := t.deviceByID(app, id)
		if err != nil {
			return err
		}
		if !ok {
			return noDevice(id)
		}
		return t.deleteDevice(d)
	})
}

// CountDevices implements storage.Devices. The index by id has one entry for each device,
// sixty-four to a record.
func (s *Store) CountDevices(ctx context.Context, app diaphone.AppID) (n int, err error) {
	err = s.view(ctx, func(t *txn) error {
		n = 0
		t.scan(inIDs, appKey(app), nil, func(k, v []byte) bool {
			r, err := open(inIDs, k, v)
			if err != nil {
				_ = t.bad(inIDs, k, v, err)
				return true
			}
			n += r.count()
			return true
		})
		return nil
	})
	return n, err
}

// EraseUser implements storage.Devices.
func (s *Store) EraseUser(ctx context.Context, app diaphone.AppID, user diaphone.UserID, limit int) (removed int, more bool, err error) {
	if user == "" {
		return 0, false, diaphone.Errorf(diaphone.Internal, "nobody's devices are to be erased")
	}
	err = s.write(ctx, moves, func(t *txn) error {
		removed, more = 0, false
		var found []*device
		err := t.eachDevice(app, user, 0, func(d *device) bool {
			if more = len(found) == limit; !more {
				found = append(found, d)
			}
			return !more
		})
		for _, d := range found {
			err = cmp.Or(err, t.deleteDevice(d))
		}
		removed = len(found)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return removed, more, nil
}

// Device implements storage.Devices.
func (s *Store) Device(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) (found diaphone.Device, err error) {
	err = s.view(ctx, func(t *txn) error {
		d, ok, err := t.deviceByID(app, id)
		if err != nil {
			return err
		}
		if !ok {
			return noDevice(id)
		}
		found = d.Device
		return nil
	})
	return found, err
}

// ListDevices implements storage.Devices. A user's devices are found through the
// user's posting list, an app's by walking its records.
func (s *Store) ListDevices(ctx context.Context, app diaphone.AppID, user diaphone.UserID, page storage.Page) (devices []diaphone.Device, next string, err error) {
	if err := checkLimit(page); err != nil {
		return nil, "", err
	}
	list := cursor{kind: "devices", of: string(appKey(app).text(string(user)))}
	after, err := list.parse(page.Cursor, 1)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(t *txn) error {
		devices, next = nil, ""
		last := uint64(0)
		// One more than the page holds tells whether there is a next one.
		return t.eachDevice(app, user, after[0], func(d *device) bool {
			if len(devices) == page.Limit {
				next = list.text(last)
				return false
			}
			last = d.num
			devices = append(devices, d.Device)
			return true
		})
	})
	return devices, next, err
}

// eachDevice visits the devices of a user, or of the whole app, with numbers above
// after. Those that cannot be read are passed over.
func (t *txn) eachDevice(app diaphone.AppID, user diaphone.UserID, after uint64, visit func(*device) (more bool)) error {
	if user != "" {
		var failure error
		err := t.index(inUsers, app).after(hashOf(string(user)), after, func(num uint64) bool {
			d, ok, err := t.device(app, num)
			if err != nil && !isDamage(err) {
				failure = err
				return false
			}
			return err != nil || !ok || d.User != user || visit(d)
		})
		return cmp.Or(failure, err)
	}
	t.scan(inDevices, appKey(app), deviceKey(app, after+1), func(k, v []byte) bool {
		num, _, ok := cutOrder(k[len(appKey(app)):])
		if !ok {
			return true
		}
		r, err := open(inDevices, k, v)
		if err == nil {
			var d *device
			if d, err = decodeDevice(r, app, num); err == nil {
				return visit(d)
			}
		}
		_ = t.bad(inDevices, k, v, err)
		return true
	})
	return nil
}
