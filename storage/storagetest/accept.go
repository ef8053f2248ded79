package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func acceptTests() []test {
	return []test{
		{"the message is kept whole", keptWhole},
		{"an event alone is finished at once", eventAlone},
		{"idempotency: replay and conflict", idempotency},
		{"idempotency: 100 at once", idempotencyRace},
		{"unknown messages", unknownMessages},
		{"the same id twice", sameID},
	}
}

func (e *env) pointsAtCursor(err error, cursor string) {
	e.Helper()
	e.code(err, diaphone.Invalid, "cursor "+cursor)
	var refused *diaphone.Error
	if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Pointer != "/cursor" {
		e.Fatalf("cursor %q: %v does not point at /cursor", cursor, err)
	}
}

func keptWhole(e *env) {
	ttl, badge := 0, 3
	want := &diaphone.Message{
		ID: diaphone.NewMessageID(at(1)), App: app, When: diaphone.Away, AcceptedAt: at(1), Expires: at(31),
		To: diaphone.Audience{
			Users: []diaphone.UserID{"ana", "ben"}, Devices: []diaphone.DeviceID{"x"}, Channels: []diaphone.ChannelName{"news"},
		},
		Event: &diaphone.Event{Name: "e", Data: "{\"a\": 1}\n\x00", ExceptSocket: "1.2"},
		Notification: &diaphone.Notification{
			Title: "<b>„Grüße“ & co</b>", Body: "\u2028", Data: map[string]string{"a": "b"}, Image: "https://x/y",
			CollapseID: "c", Priority: diaphone.PriorityNormal, TTL: &ttl, Badge: &badge, Sound: "s",
			APNs: &diaphone.APNsOverride{Headers: map[string]string{"apns-topic": "t"}, APS: []byte(`{"x":1}`), Data: []byte(`{"y":[2]}`)},
			FCM:  []byte(`{"android":{}}`), WebPush: []byte(`{"notification":{"icon":"/i"}}`),
		},
	}
	e.accept(want)
	for _, when := range []string{"at once", "after reopening"} {
		got := e.report(want)
		if !reflect.DeepEqual(got.Message, want) {
			e.Fatalf("%s: got %+v\n%+v, want %+v\n%+v", when, got.Message, got.Message.Notification, want, want.Notification)
		}
		e.s = e.reopen()
	}
}

func eventAlone(e *env) {
	e.put(phone("d", on("news")))
	m := e.message(1, toChannels("news"))
	m.Event, m.Notification = &diaphone.Event{Name: "e", Data: "{}"}, nil
	a := e.accept(m)
	equal(e, a.Planned, true, "planned")
	equal(e, a.Counts, diaphone.Counts{}, "counts")
	r := e.report(m)
	equal(e, r.State, diaphone.Finished, "state")
	equal(e, r.FinishedAt, at(1), "finished at")
	equal(e, len(e.claim(fcmLane(app), 2, 1)), 0, "batches")
	done, _, err := e.s.Plan(e.ctx, app, m.ID, route)
	e.no(err, "plan")
	equal(e, done, true, "nothing to plan")
}

func idempotency(e *env) {
	e.put(phone("d"))
	key := storage.Idempotency{Key: "order-7", Body: [32]byte{1}}
	first := e.message(1, toDevices("d"))
	a, err := e.s.Accept(e.ctx, first, key, route)
	e.no(err, "accept")
	equal(e, a.Replayed, false, "replayed")
	for _, when := range []string{"at once", "after reopening"} {
		again := e.message(2, toDevices("d"))
		a, err = e.s.Accept(e.ctx, again, key, route)
		e.no(err, "accept again %s", when)
		equal(e, a.Replayed, true, "replayed")
		equal(e, a.ID, first.ID, "id of the replay")
		equal(e, a.Counts.Accepted, 1, "counts of the replay")
		_, err = e.s.Message(e.ctx, app, again.ID)
		e.code(err, diaphone.NotFound, "read the message that was not accepted")

		changed := key
		changed.Body[31] = 9
		_, err = e.s.Accept(e.ctx, e.message(2, toDevices("d")), changed, route)
		e.code(err, diaphone.Conflict, "accept another body")
		e.s = e.reopen()
	}
	m := e.message(3, toDevices("d"))
	m.App = other
	a, err = e.s.Accept(e.ctx, m, key, route)
	e.no(err, "accept in another app")
	equal(e, a.Replayed, false, "replayed from another app")

	equal(e, len(e.claim(fcmLane(app), 9, 100)), 1, "batches")
}

func idempotencyRace(e *env) {
	e.put(phone("d"))
	const callers = 100
	ids := make([]diaphone.MessageID, callers)
	replayed := make([]bool, callers)
	messages := make([]*diaphone.Message, callers)
	for i := range callers {
		messages[i] = e.message(1, toDevices("d"))
	}
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			a, err := e.s.Accept(e.ctx, messages[i], storage.Idempotency{Key: "k"}, route)
			if err != nil {
				e.Errorf("accept: %v", err)
			}
			ids[i], replayed[i] = a.ID, a.Replayed
		})
	}
	group.Wait()
	equal(e, len(slices.Compact(ids)), 1, "ids given")
	fresh := 0
	for _, r := range replayed {
		if !r {
			fresh++
		}
	}
	equal(e, fresh, 1, "accepts that were not replays")
	equal(e, len(e.claim(fcmLane(app), 2, 1000)), 1, "batches")
}

func unknownMessages(e *env) {
	ids := []diaphone.MessageID{diaphone.NewMessageID(at(1)), "msg_", "", "nonsense"}
	for _, id := range ids {
		_, err := e.s.Message(e.ctx, app, id)
		e.code(err, diaphone.NotFound, fmt.Sprintf("read %q", id))
		_, _, err = e.s.Deliveries(e.ctx, app, id, storage.Page{Limit: 1})
		e.code(err, diaphone.NotFound, fmt.Sprintf("deliveries of %q", id))
		_, _, err = e.s.Plan(e.ctx, app, id, route)
		e.code(err, diaphone.NotFound, fmt.Sprintf("plan %q", id))
	}
}

func sameID(e *env) {
	m := e.message(1, toDevices("d"))
	e.accept(m)
	_, err := e.s.Accept(e.ctx, m, storage.Idempotency{}, route)
	e.code(err, diaphone.Conflict, "accept the same id again")
}
