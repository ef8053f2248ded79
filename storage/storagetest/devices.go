package storagetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func deviceTests() []test {
	return []test{
		{"devices that give no sign of life are removed", sweepDevices},
		{"put, get, replace", putReplaces},
		{"survives reopening", deviceSurvives},
		{"repeated registration", putAgain},
		{"a token is never transferred", tokenMoves},
		{"a change of nothing", changeNothing},
		{"a change that is refused", changeRefused},
		{"what a change is given is a copy", changeCopy},
		{"changes of one device at once", changesTogether},
		{"delete", deleteDevice},
		{"list in pages", listPages},
		{"list of a user", listUser},
		{"cursor of another list", foreignCursor},
		{"subscribe, unsubscribe", subscribe},
		{"erase a user", eraseUser},
		{"count", countDevices},
		{"apps do not see each other", appsApart},
		{"two phones race for a token", tokenRace},
	}
}

func full(id string) diaphone.Device {
	return diaphone.Device{
		App: app, ID: diaphone.DeviceID(id), Platform: diaphone.IOS, User: "ana",
		Tokens: []diaphone.Token{
			{Kind: diaphone.TokenAPNs, Value: "00ff10aabbccddeeff", Environment: diaphone.Sandbox, Topic: "com.example.chat"},
			{Kind: diaphone.TokenFCM, Value: "f:Ab-_9", GoneAt: at(-7), GoneReason: "UNREGISTERED"},
			{Kind: diaphone.TokenWebPush, Value: "https://push.example.com/x?y=z#BCVx.BTBZ_-"},
		},
		Channels: []diaphone.ChannelName{"news", "private-chat-7"},
		Locale:   "de-AT", TimeZone: "Europe/Vienna", Tags: map[string]string{"plan": "gold", "": "empty key", "b": ""},
		SecretHash: diaphone.HashToken("a secret"), BindsFrom: at(-3),
	}
}

// same compares devices but for the times.
func same(a, b diaphone.Device) bool {
	tokens := func(d diaphone.Device) string {
		text := ""
		for _, t := range d.Tokens {
			text += fmt.Sprintf("%s|%s|%s|%s|%d|%s,", t.Kind, t.Value.Reveal(), t.Environment, t.Topic, t.GoneAt.UnixMilli(), t.GoneReason)
		}
		return text
	}
	return a.App == b.App && a.ID == b.ID && a.Platform == b.Platform && a.User == b.User &&
		a.Locale == b.Locale && a.TimeZone == b.TimeZone && fmt.Sprint(a.Tags) == fmt.Sprint(b.Tags) &&
		slices.Equal(a.Channels, b.Channels) && tokens(a) == tokens(b) &&
		a.SecretHash == b.SecretHash && a.BindsFrom.Equal(b.BindsFrom)
}

func putReplaces(e *env) {
	_, err := e.s.Device(e.ctx, app, "ana-iphone")
	e.code(err, diaphone.NotFound, "read an unknown device")

	want := full("ana-iphone")
	stored, created, err := Put(e.ctx, e.s, want, at(1.0005))
	e.no(err, "put")
	equal(e, created, true, "created")
	for _, got := range []diaphone.Device{stored, e.device(app, "ana-iphone")} {
		if !same(got, want) {
			e.Fatalf("got %+v, want %+v", got, want)
		}
		equal(e, got.CreatedAt, at(1), "created at, to the millisecond")
		equal(e, got.UpdatedAt, at(1), "updated at")
		equal(e, got.Tokens[1].RegisteredAt, at(1), "registered at")
	}

	slim := diaphone.Device{App: app, ID: "ana-iphone", Platform: diaphone.IOS}
	stored, created, err = Put(e.ctx, e.s, slim, at(2))
	e.no(err, "replace")
	equal(e, created, false, "created")
	got := e.device(app, "ana-iphone")
	if !same(got, slim) || !same(stored, slim) {
		e.Fatalf("got %+v and %+v, want %+v", stored, got, slim)
	}
	equal(e, got.CreatedAt, at(1), "created at of a replaced device")
	equal(e, got.UpdatedAt, at(2), "updated at of a replaced device")
	if list, _, err := e.s.ListDevices(e.ctx, app, "ana", storage.Page{Limit: 10}); err != nil || len(list) != 0 {
		e.Fatalf("the user it was taken from still has %v, %v", list, err)
	}
}

func deviceSurvives(e *env) {
	want := e.put(full("ana-iphone"))
	e.s = e.reopen()
	got := e.device(app, "ana-iphone")
	if !same(got, want) || !got.CreatedAt.Equal(want.CreatedAt) {
		e.Fatalf("got %+v, want %+v", got, want)
	}
	list, _, err := e.s.ListDevices(e.ctx, app, "ana", storage.Page{Limit: 10})
	e.no(err, "list")
	equal(e, len(list), 1, "devices of the user")
}

func putAgain(e *env) {
	d := full("ana-iphone")
	e.put(d)
	stored, created, err := Put(e.ctx, e.s, d, at(60))
	e.no(err, "put again")
	equal(e, created, false, "created")
	if !same(stored, d) {
		e.Fatalf("got %+v, want %+v", stored, d)
	}
	equal(e, stored.CreatedAt, at(0), "created at")
	for _, t := range e.device(app, d.ID).Tokens {
		equal(e, t.RegisteredAt, at(60), "registered at")
	}
	list, next, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 10})
	e.no(err, "list")
	equal(e, len(list), 1, "devices in the list")
	equal(e, next, "", "next cursor")
	e.accept(e.message(61, toChannels("news")))
	equal(e, len(e.claim(apnsLane(app), 61, 10)), 1, "batches for a device registered twice")
}

func tokenMoves(e *env) {
	apns := diaphone.Token{Kind: diaphone.TokenAPNs, Value: "aa"}
	e.put(phone("old", ofUser("ana"), on("news"), withTokens(fcmToken("shared"), apns)))
	e.put(phone("elsewhere", in(other), withTokens(fcmToken("shared"))))
	e.put(phone("new", withTokens(fcmToken("shared"))))

	e.ended("old")
	equal(e, len(e.device(app, "new").Tokens), 1, "tokens of the new device")
	equal(e, len(e.device(other, "elsewhere").Tokens), 1, "tokens of another app's device")
	list, _, err := e.s.ListDevices(e.ctx, app, "ana", storage.Page{Limit: 10})
	e.no(err, "list")
	equal(e, len(list), 0, "devices of the user whose device was ended")
	equal(e, e.accept(e.message(1, toChannels("news"))).Counts.Accepted, 0, "deliveries to the channel of the device that was ended")

	// And back: the index followed the token. What the device was is forgotten.
	stored := e.put(phone("old", withTokens(fcmToken("shared"))))
	equal(e, stored.User, "", "user of a device that came back")
	e.ended("new")
	// A kind is part of a token: the same text of another kind is another token.
	e.put(phone("new", withTokens(diaphone.Token{Kind: diaphone.TokenAPNs, Value: "shared"})))
	equal(e, len(e.device(app, "old").Tokens), 1, "tokens after another kind was registered")
	// One device may end several.
	e.put(phone("heir", withTokens(fcmToken("shared"), diaphone.Token{Kind: diaphone.TokenAPNs, Value: "shared"})))
	e.ended("old")
	e.ended("new")
	// A token that was given up is free.
	e.put(phone("heir", withTokens()))
	e.put(phone("next", withTokens(fcmToken("shared"))))
	equal(e, len(e.device(app, "heir").Tokens), 0, "tokens of who had given it up")
}

// ended: the device is gone, with its user, channels and tokens.
func (e *env) ended(id diaphone.DeviceID) {
	e.Helper()
	_, err := e.s.Device(e.ctx, app, id)
	e.code(err, diaphone.NotFound, "read a device whose token is another's now")
}

// change changes the device "d" of the app.
func (e *env) change(second float64, change storage.Change) (diaphone.Device, bool, error) {
	return e.s.ChangeDevice(e.ctx, app, "d", at(second), change)
}

func changeNothing(e *env) {
	want := full("d")
	e.put(want)
	stored, created, err := e.change(9, func(d diaphone.Device, known bool) (diaphone.Device, error) {
		equal(e, known, true, "known")
		d.App, d.ID, d.CreatedAt, d.UpdatedAt = other, "somebody", at(8), at(8) // not for it to say
		return d, nil
	})
	e.no(err, "change nothing")
	equal(e, created, false, "created")
	for _, got := range []diaphone.Device{stored, e.device(app, "d")} {
		if !same(got, want) || !got.UpdatedAt.Equal(at(0)) || !got.CreatedAt.Equal(at(0)) {
			e.Fatalf("got %+v, want %+v", got, want)
		}
	}
	stored, _, err = e.change(10, func(d diaphone.Device, _ bool) (diaphone.Device, error) {
		d.Channels = append(d.Channels, "news", "sport", "sport")
		return d, nil
	})
	e.no(err, "name channels twice")
	if want := []diaphone.ChannelName{"news", "private-chat-7", "sport"}; !slices.Equal(stored.Channels, want) || !stored.UpdatedAt.Equal(at(10)) {
		e.Fatalf("got %v at %v, want %v at %v", stored.Channels, stored.UpdatedAt, want, at(10))
	}
}

func changeRefused(e *env) {
	refusal := diaphone.Errorf(diaphone.Conflict, "no")
	refuse := func(d diaphone.Device, _ bool) (diaphone.Device, error) {
		d.Locale = "fr"
		return d, refusal
	}
	_, _, err := e.change(1, refuse)
	e.code(err, diaphone.Conflict, "refuse to create")
	e.ended("d")
	e.put(full("d"))
	_, _, err = e.change(2, refuse)
	e.code(err, diaphone.Conflict, "refuse to change")
	equal(e, e.device(app, "d").Locale, "de-AT", "locale")
}

func changeCopy(e *env) {
	want := full("d")
	e.put(want)
	_, _, err := e.change(1, func(d diaphone.Device, _ bool) (diaphone.Device, error) {
		d.Tags["plan"], d.Channels[0] = "lead", "nonsense"
		d.Tokens[0].Value = "ffff"
		return full("d"), nil
	})
	e.no(err, "change")
	if got := e.device(app, "d"); !same(got, want) {
		e.Fatalf("got %+v, want %+v", got, want)
	}
	// Every index has what the record has.
	e.put(phone("thief", withTokens(diaphone.Token{Kind: diaphone.TokenAPNs, Value: "00ff10aabbccddeeff"})))
	e.ended("d")
}

// changesTogether: none of them is lost.
func changesTogether(e *env) {
	e.put(phone("d"))
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if err := Join(e.ctx, e.s, app, "d", diaphone.ChannelName(fmt.Sprint("c", i))); err != nil {
				e.Errorf("join: %v", err)
			}
		})
	}
	group.Wait()
	equal(e, len(e.device(app, "d").Channels), 40, "channels")
}

func countDevices(e *env) {
	count := func(a diaphone.AppID, want int) {
		e.Helper()
		got, err := e.s.CountDevices(e.ctx, a)
		e.no(err, "count")
		equal(e, got, want, "devices of app %s", a)
	}
	count(app, 0)
	for i := range 300 {
		e.put(phone(fmt.Sprint("d", i)))
		e.put(phone(fmt.Sprint("d", i))) // again
	}
	e.put(phone("d0", in(other)))
	count(app, 300)
	count(other, 1)
	count("1x", 0)
	e.put(phone("heir", withTokens(fcmToken("token-of-d7")))) // ends d7
	e.no(e.s.DeleteDevice(e.ctx, app, "d8"), "delete")
	count(app, 299)
}

func listPages(e *env) {
	var want []diaphone.DeviceID
	for i := range 25 {
		id := fmt.Sprintf("d%02d", (i*7)%25) // not in the order of their ids
		want = append(want, diaphone.DeviceID(id))
		e.put(phone(id))
	}
	for _, limit := range []int{1, 4, 5, 24, 25, 26, storage.MaxPage} {
		var got []diaphone.DeviceID
		for cursor := ""; ; {
			page, next, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Cursor: cursor, Limit: limit})
			e.no(err, "list")
			if next != "" && len(page) != limit {
				e.Fatalf("a page of %d in the middle has %d devices", limit, len(page))
			}
			for _, d := range page {
				got = append(got, d.ID)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			e.Fatalf("pages of %d: got %v, want %v", limit, got, want)
		}
	}
	for _, limit := range []int{0, -1, storage.MaxPage + 1} {
		_, _, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: limit})
		e.code(err, diaphone.Invalid, "list with a wrong limit")
	}
	// What is deleted between two pages shifts nothing.
	page, next, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 10})
	e.no(err, "list")
	e.no(e.s.DeleteDevice(e.ctx, app, page[9].ID), "delete")
	e.no(e.s.DeleteDevice(e.ctx, app, page[0].ID), "delete")
	page, _, err = e.s.ListDevices(e.ctx, app, "", storage.Page{Cursor: next, Limit: 10})
	e.no(err, "list on")
	equal(e, page[0].ID, want[10], "first device of the second page")
}

func listUser(e *env) {
	for i := range 9 {
		e.put(phone(fmt.Sprintf("d%d", i), ofUser([]diaphone.UserID{"ana", "anabel", "ben"}[i%3])))
	}
	first, next, err := e.s.ListDevices(e.ctx, app, "ana", storage.Page{Limit: 2})
	e.no(err, "list")
	second, end, err := e.s.ListDevices(e.ctx, app, "ana", storage.Page{Cursor: next, Limit: 2})
	e.no(err, "list on")
	got := []diaphone.DeviceID{}
	for _, d := range append(first, second...) {
		got = append(got, d.ID)
	}
	if !slices.Equal(got, []diaphone.DeviceID{"d0", "d3", "d6"}) || next == "" || end != "" {
		e.Fatalf("got %v, cursors %q and %q", got, next, end)
	}
	list, _, err := e.s.ListDevices(e.ctx, app, "nobody", storage.Page{Limit: 2})
	e.no(err, "list of an unknown user")
	equal(e, len(list), 0, "devices of an unknown user")
}

func foreignCursor(e *env) {
	for i := range 3 {
		e.put(phone(fmt.Sprint(i), ofUser("ana")))
	}
	_, next, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 1})
	e.no(err, "list")
	for _, cursor := range []string{"x", "not base64!", "AAAA", next + "A", next[:len(next)-1]} {
		e.cursorRefused(app, "", cursor)
	}
	e.cursorRefused(app, "ana", next)
	e.cursorRefused(other, "", next)
}

func (e *env) cursorRefused(a diaphone.AppID, user diaphone.UserID, cursor string) {
	e.Helper()
	_, _, err := e.s.ListDevices(e.ctx, a, user, storage.Page{Cursor: cursor, Limit: 1})
	e.pointsAtCursor(err, cursor)
}

func subscribe(e *env) {
	e.code(Join(e.ctx, e.s, app, "d", "news"), diaphone.NotFound, "subscribe an unknown device")
	e.code(Leave(e.ctx, e.s, app, "d", "news"), diaphone.NotFound, "unsubscribe an unknown device")
	e.put(phone("d"))
	for range 2 {
		e.no(Join(e.ctx, e.s, app, "d", "news"), "subscribe")
	}
	e.no(Join(e.ctx, e.s, app, "d", "sport"), "subscribe")
	if got := e.device(app, "d").Channels; !slices.Equal(got, []diaphone.ChannelName{"news", "sport"}) {
		e.Fatalf("channels %v", got)
	}
	equal(e, e.accept(e.message(1, toChannels("news"))).Counts.Accepted, 1, "deliveries")
	for range 2 {
		e.no(Leave(e.ctx, e.s, app, "d", "news"), "unsubscribe")
	}
	if got := e.device(app, "d").Channels; !slices.Equal(got, []diaphone.ChannelName{"sport"}) {
		e.Fatalf("channels %v", got)
	}
	equal(e, e.accept(e.message(2, toChannels("news"))).Counts.Accepted, 0, "deliveries")
	equal(e, e.accept(e.message(3, toChannels("sport"))).Counts.Accepted, 1, "deliveries")
}

func appsApart(e *env) {
	mine, theirs := full("x"), full("x")
	theirs.App, theirs.Locale = other, "fr"
	e.put(mine)
	e.put(theirs)
	equal(e, len(e.device(app, "x").Tokens), len(mine.Tokens), "tokens after the other app registered the same")
	equal(e, e.device(other, "x").Locale, "fr", "locale")

	a := e.accept(e.message(1, diaphone.Audience{Users: []diaphone.UserID{"ana"}, Devices: []diaphone.DeviceID{"x"}, Channels: []diaphone.ChannelName{"news"}}))
	equal(e, a.Counts.Accepted, 1, "deliveries")
	lanes, err := e.s.Lanes(e.ctx)
	e.no(err, "lanes")
	if !slices.Equal(lanes, []diaphone.Lane{apnsLane(app)}) {
		e.Fatalf("lanes %v", lanes)
	}
	m := e.message(2, toDevices("x"))
	m.App = other
	e.accept(m)
	_, err = e.s.Message(e.ctx, app, m.ID)
	e.code(err, diaphone.NotFound, "read another app's message")
	_, _, err = e.s.Deliveries(e.ctx, app, m.ID, storage.Page{Limit: 1})
	e.code(err, diaphone.NotFound, "read another app's deliveries")

	e.no(e.s.DeleteDevice(e.ctx, app, "x"), "delete")
	equal(e, len(e.device(other, "x").Tokens), len(theirs.Tokens), "tokens after the other app's device was deleted")
	list, _, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 10})
	e.no(err, "list")
	equal(e, len(list), 0, "devices of the app")
}

// tokenRace: whoever wins, exactly one phone has the token.
func tokenRace(e *env) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 8 {
				if _, _, err := Put(e.ctx, e.s, phone(fmt.Sprint(i), withTokens(fcmToken("one"))), at(1)); err != nil {
					e.Errorf("put: %v", err)
				}
			}
		})
	}
	all.Wait()
	list, _, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 100})
	e.no(err, "list")
	equal(e, len(list), 1, "devices that are left")
}
