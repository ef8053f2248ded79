package storagetest

import (
	"fmt"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func eraseUser(e *env) {
	for i := range 7 {
		e.put(phone(fmt.Sprint("ana-", i), ofUser("ana"), on("news")))
		e.put(phone(fmt.Sprint("ben-", i), ofUser("ben")))
	}
	e.put(phone("ana-0", in(other), ofUser("ana")))
	for i, want := range []struct {
		removed int
		more    bool
	}{{3, true}, {3, true}, {1, false}, {0, false}} {
		removed, more, err := e.s.EraseUser(e.ctx, app, "ana", 3)
		e.no(err, "erase")
		equal(e, removed, want.removed, "devices erased by call %d", i)
		equal(e, more, want.more, "more after call %d", i)
	}
	list, _, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 100})
	e.no(err, "list")
	equal(e, len(list), 7, "devices that are left")
	equal(e, e.accept(e.message(1, toChannels("news"))).Counts.Accepted, 0, "deliveries to erased devices")
	e.device(other, "ana-0")
}

func deleteDevice(e *env) {
	e.code(e.s.DeleteDevice(e.ctx, app, "ana-iphone"), diaphone.NotFound, "delete an unknown device")
	e.put(full("ana-iphone"))
	e.no(e.s.DeleteDevice(e.ctx, app, "ana-iphone"), "delete")
	_, err := e.s.Device(e.ctx, app, "ana-iphone")
	e.code(err, diaphone.NotFound, "read a deleted device")
	e.code(e.s.DeleteDevice(e.ctx, app, "ana-iphone"), diaphone.NotFound, "delete twice")
	for _, user := range []diaphone.UserID{"", "ana"} {
		list, _, err := e.s.ListDevices(e.ctx, app, user, storage.Page{Limit: 10})
		e.no(err, "list")
		equal(e, len(list), 0, "devices listed after the delete")
	}
	m := e.message(1, diaphone.Audience{Users: []diaphone.UserID{"ana"}, Devices: []diaphone.DeviceID{"ana-iphone"}, Channels: []diaphone.ChannelName{"news"}})
	a := e.accept(m)
	equal(e, a.Counts.Accepted, 0, "deliveries to a deleted device")
	equal(e, a.Planned, true, "planned")
	equal(e, e.report(m).State, diaphone.Finished, "state of a message to nobody")

	// The id is free again, and so is its token.
	stored, created, err := Put(e.ctx, e.s, full("ana-iphone"), at(5))
	e.no(err, "put after delete")
	equal(e, created, true, "created")
	equal(e, stored.CreatedAt, at(5), "created at")
}

// sweepDevices: only those go that have not registered since, and all that belongs to
// them goes along.
func sweepDevices(e *env) {
	registered := func(d diaphone.Device, second float64) {
		_, _, err := Put(e.ctx, e.s, d, at(second))
		e.no(err, "put")
	}
	for i := range 7 {
		registered(phone(fmt.Sprint("old", i), on("news"), ofUser("ana")), 1)
		registered(phone(fmt.Sprint("young", i), on("news"), ofUser("ana")), 10)
	}
	registered(phone("back", on("news")), 1)
	registered(phone("back", on("news")), 10)
	registered(phone("mute", withTokens()), 1)
	elsewhere := phone("old0", in(other))
	registered(elsewhere, 1)
	sweep := func(limit int) (total int) {
		for cursor := ""; ; {
			removed, next, err := e.s.SweepDevices(e.ctx, at(10), cursor, limit)
			e.no(err, "sweep")
			if removed > limit {
				e.Fatalf("%d of %d were removed", removed, limit)
			}
			total += removed
			if next == "" {
				return total
			}
			cursor = next
		}
	}
	equal(e, sweep(3), 9, "removed")
	equal(e, sweep(100), 0, "removed again")
	list, _, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 100})
	e.no(err, "list")
	equal(e, len(list), 8, "devices that stay")
	_, err = e.s.Device(e.ctx, other, "old0")
	e.code(err, diaphone.NotFound, "an old device of another app")
	_, err = e.s.Device(e.ctx, app, "mute")
	e.code(err, diaphone.NotFound, "an old device without a token")
	m := e.message(11, diaphone.Audience{Channels: []diaphone.ChannelName{"news"}, Users: []diaphone.UserID{"ana"}, Devices: []diaphone.DeviceID{"old1"}})
	equal(e, e.accept(m).Counts.Accepted, 8, "deliveries")
	registered(phone("old1", on("news")), 12) // its token and its id are free
	equal(e, len(e.device(app, "old1").Tokens), 1, "tokens of a device that comes back")
	_, _, err = e.s.SweepDevices(e.ctx, at(10), "nonsense", 3)
	e.pointsAtCursor(err, "nonsense")
}
