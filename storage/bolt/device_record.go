package bolt

import (
	"cmp"
	"maps"
	"slices"

	"github.com/diaphone-dev/diaphone"
)

// device is a stored device: what the caller knows, and since when it belongs to
// its user and channels, in store order. A device's number is the store order at
// which it was created.
type device struct {
	diaphone.Device
	num       uint64
	userSince uint64
	since     []uint64 // of each channel
	lost      uint64   // when it last left a user or a channel; 0: never
}

// The words that records abbreviate. Only ever append to these.

func platforms() []string {
	return []string{string(diaphone.IOS), string(diaphone.Android), string(diaphone.Web)}
}

func tokenKinds() []string {
	return []string{string(diaphone.TokenAPNs), string(diaphone.TokenFCM), string(diaphone.TokenWebPush), string(diaphone.TokenAPNsVoIP)}
}

func environments() []string {
	return []string{"", string(diaphone.Production), string(diaphone.Sandbox)}
}

func (d *device) record() record {
	r := newRecord(128)
	r.text(string(d.ID))
	r.symbol(platforms(), string(d.Platform))
	created := millis(d.CreatedAt)
	r.int(created)
	r.int(millis(d.UpdatedAt) - created)
	r.uint(d.lost)
	r.text(string(d.User))
	if d.User != "" {
		r.uint(d.userSince)
	}
	r.number(len(d.Channels))
	for i, c := range d.Channels {
		r.text(string(c))
		r.uint(d.since[i])
	}
	r.number(len(d.Tokens))
	for _, t := range d.Tokens {
		r.symbol(tokenKinds(), string(t.Kind))
		r.packed(t.Value.Reveal())
		r.symbol(environments(), string(t.Environment))
		r.int(millis(t.RegisteredAt) - created)
	}
	r.text(d.Locale)
	r.text(d.TimeZone)
	r.number(len(d.Tags))
	for _, k := range slices.Sorted(maps.Keys(d.Tags)) {
		r.text(k)
		r.text(d.Tags[k])
	}
	d.writeRest(&r)
	return r
}

// What the rest of a record tells. Most devices have nothing of it, and no rest.
const (
	hasSecret = 1 << iota
	hasMark
	hasTokens
	hasAll = hasSecret | hasMark | hasTokens
)

// writeRest appends what came to records later.
func (d *device) writeRest(r *record) {
	rest := 0
	if d.SecretHash != (diaphone.TokenHash{}) {
		rest |= hasSecret
	}
	if !d.BindsFrom.IsZero() {
		rest |= hasMark
	}
	if slices.ContainsFunc(d.Tokens, func(t diaphone.Token) bool { return t.Topic != "" || !t.Active() }) {
		rest |= hasTokens
	}
	if rest == 0 {
		return
	}
	r.number(rest)
	if rest&hasSecret != 0 {
		r.raw(d.SecretHash[:])
	}
	if rest&hasMark != 0 {
		r.time(d.BindsFrom)
	}
	if rest&hasTokens != 0 {
		for _, t := range d.Tokens {
			r.text(t.Topic)
			r.time(t.GoneAt)
			r.text(t.GoneReason)
		}
	}
}

func (d *device) readRest(r *reader) {
	if len(r.b) == 0 {
		return
	}
	rest := r.number()
	if rest&^hasAll != 0 {
		r.fail("unknown rest")
		return
	}
	if rest&hasSecret != 0 {
		copy(d.SecretHash[:], r.raw(len(d.SecretHash)))
	}
	if rest&hasMark != 0 {
		d.BindsFrom = r.time()
	}
	if rest&hasTokens != 0 {
		for i := range d.Tokens {
			t := &d.Tokens[i]
			t.Topic, t.GoneAt, t.GoneReason = r.text(), r.time(), r.text()
		}
	}
}

// decodeDevice is the inverse of device.record; app and number are in the key.
func decodeDevice(r reader, app diaphone.AppID, num uint64) (*device, error) {
	d := &device{num: num}
	d.App = app
	d.ID = diaphone.DeviceID(r.text())
	d.Platform = diaphone.Platform(r.symbol(platforms()))
	created := r.int()
	d.CreatedAt = fromMillis(created)
	d.UpdatedAt = fromMillis(created + r.int())
	d.lost = r.uint()
	if d.User = diaphone.UserID(r.text()); d.User != "" {
		d.userSince = r.uint()
	}
	if n := r.count(); n > 0 {
		d.Channels, d.since = make([]diaphone.ChannelName, n), make([]uint64, n)
		for i := range n {
			d.Channels[i] = diaphone.ChannelName(r.text())
			d.since[i] = r.uint()
		}
	}
	if n := r.count(); n > 0 {
		d.Tokens = make([]diaphone.Token, n)
		for i := range n {
			d.Tokens[i] = diaphone.Token{
				Kind:         diaphone.TokenKind(r.symbol(tokenKinds())),
				Value:        diaphone.Secret(r.packed()),
				Environment:  diaphone.Environment(r.symbol(environments())),
				RegisteredAt: fromMillis(created + r.int()),
			}
		}
	}
	d.Locale, d.TimeZone = r.text(), r.text()
	if n := r.count(); n > 0 {
		d.Tags = make(map[string]string, n)
		for range n {
			k := r.text()
			d.Tags[k] = r.text()
		}
	}
	d.readRest(&r)
	return d, r.end()
}

// device reads a device by its number.
func (t *txn) device(app diaphone.AppID, num uint64) (*device, bool, error) {
	k := deviceKey(app, num)
	r, ok, err := t.get(inDevices, k)
	if err != nil || !ok {
		return nil, false, err
	}
	d, err := decodeDevice(r, app, num)
	if err != nil {
		return nil, false, t.bad(inDevices, k, t.bucket(inDevices).Get(k), err)
	}
	return d, true, nil
}

// deviceByID reads a device by its id. One whose record is damaged reads as none:
// registering it again makes it anew.
func (t *txn) deviceByID(app diaphone.AppID, id diaphone.DeviceID) (found *device, ok bool, err error) {
	failure := t.index(inIDs, app).after(hashOf(string(id)), 0, func(num uint64) bool {
		d, ok, deviceErr := t.device(app, num)
		switch {
		case deviceErr != nil && !isDamage(deviceErr):
			err = deviceErr
		case deviceErr == nil && ok && d.ID == id:
			found = d
		}
		return err == nil && found == nil
	})
	return found, found != nil, cmp.Or(failure, err)
}
