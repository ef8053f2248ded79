package bolt

import (
	"bytes"
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// SweepDevices implements storage.Devices. It reads in one transaction and deletes in
// another, so that a look at devices that all stay costs no write.
func (s *Store) SweepDevices(ctx context.Context, before time.Time, cursorText string, limit int) (removed int, next string, err error) {
	list := cursor{kind: "stale devices"}
	after, err := list.parseKey(cursorText)
	if err != nil {
		return 0, "", err
	}
	var stale []key
	err = s.view(ctx, func(t *txn) error {
		stale, next = nil, ""
		var last key
		read := 0
		t.scan(inDevices, nil, append(bytes.Clone(after), 0), func(k, v []byte) bool {
			if read == limit {
				next = list.textOf(last)
				return false
			}
			read++
			last = bytes.Clone(k)
			if d, ok := t.deviceAt(k, v); ok && d.staleBefore(before) {
				stale = append(stale, last)
			}
			return true
		})
		return nil
	})
	if err != nil || len(stale) == 0 {
		return 0, next, err
	}
	err = s.write(ctx, moves, func(t *txn) error {
		removed = 0
		for _, k := range stale {
			d, ok := t.deviceAt(k, t.bucket(inDevices).Get(k))
			if !ok || !d.staleBefore(before) { // it has registered again meanwhile, or changed
				continue
			}
			if err := t.deleteDevice(d); err != nil {
				return err
			}
			removed++
		}
		return nil
	})
	return removed, next, err
}

// deviceAt decodes what a key of the devices has. ok is false for nothing, and for what
// cannot be trusted.
func (t *txn) deviceAt(k, v []byte) (*device, bool) {
	app, rest, ok := cutText(k)
	num, _, sound := cutOrder(rest)
	if !ok || !sound || v == nil {
		return nil, false
	}
	return readAs(t, inDevices, k, v, func(r reader) (*device, error) { return decodeDevice(r, diaphone.AppID(app), num) })
}

// staleBefore tells whether the device has not registered since, and nothing else of it
// has changed: who registers the same again changes the times of its tokens alone.
func (d *device) staleBefore(before time.Time) bool {
	for i := range d.Tokens {
		if !d.Tokens[i].RegisteredAt.Before(before) {
			return false
		}
	}
	return d.UpdatedAt.Before(before)
}
