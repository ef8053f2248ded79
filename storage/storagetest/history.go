package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func historyTests() []test {
	return []test{
		{"attempts are kept whole", attemptsKept},
		{"deliveries in pages", deliveryPages},
		{"cursor of another message", deliveryCursor},
		{"one device's delivery", oneDelivery},
		{"one device's delivery, whatever has become of the device", oneDeliveryLater},
		{"sweep", sweep},
		{"sweep of a broadcast", sweepBroadcast},
	}
}

func attemptsKept(e *env) {
	e.crowd(3, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	tries := []diaphone.Attempt{
		{At: at(2), Verdict: diaphone.Retry, Status: 503, Reason: "ServiceUnavailable", Latency: 1500 * time.Millisecond},
		{At: at(4.321), Verdict: diaphone.Throttled, Status: 429, Reason: "TooManyRequests", ProviderID: "8f6b2f2e-6a5d-4f6e-9d43-1d0c8f4e7a10"},
		{At: at(7), Verdict: diaphone.Accepted, Status: 200, ProviderID: "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96", Latency: 20 * time.Millisecond},
	}
	ids := []string{"8F6B2F2E-6A5D-4F6E-9D43-1D0C8F4E7A10", "a/b/c", "Mixed-Case"}
	second := 2.0
	for i := range tries {
		batches := e.claim(fcmLane(app), second, 10)
		equal(e, len(batches), 1, "batches of try %d", i)
		b := batches[0]
		work := storage.Settlement{Batch: &b}
		for _, it := range b.Items {
			a := tries[i]
			if it.Index > 0 {
				a.ProviderID = ids[it.Index] // each its own
			}
			r := storage.Result{Index: it.Index, State: diaphone.Pending, Attempt: &a, RetryAt: at(second + 2), Tries: i + 1}
			if i == len(tries)-1 {
				r.State, r.RetryAt = diaphone.Delivered, time.Time{}
			}
			work.Results = append(work.Results, r)
		}
		e.settle(second, work)
		second += 2.1
	}
	for _, when := range []string{"at once", "after reopening"} {
		reports := e.deliveries(m, 10)
		equal(e, len(reports), 3, "deliveries %s", when)
		for _, r := range reports {
			equal(e, r.State, diaphone.Delivered, "state of %s", r.Device)
			equal(e, len(r.Attempts), 3, "attempts of %s", r.Device)
		}
		if !reflect.DeepEqual(reports[0].Attempts, tries) {
			e.Fatalf("%s: got %+v, want %+v", when, reports[0].Attempts, tries)
		}
		equal(e, reports[2].Attempts[1].ProviderID, ids[2], "provider id")
		e.s = e.reopen()
	}

	// A delivery that ended without an attempt says why.
	quiet := e.message(20, toDevices("d00000"))
	e.accept(quiet)
	b := e.claim(fcmLane(app), 20, 1)[0]
	e.settle(21, storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 0, State: diaphone.Expired, Reason: "expired"}}})
	r := e.deliveries(quiet, 1)[0]
	equal(e, fmt.Sprintf("%s %s %d %v", r.State, r.Reason, len(r.Attempts), r.RetryAt.IsZero()), "expired expired 0 true", "report without an attempt")
}

func deliveryPages(e *env) {
	e.crowd(1203, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	first := deliveryIDs(e.deliveries(m, 100))
	equal(e, len(first), storage.PlanPage, "deliveries of the first page of the plan")
	e.planAll(m)
	want := deliveryIDs(e.deliveries(m, storage.MaxPage))
	equal(e, len(want), 1203, "deliveries")
	if !slices.Equal(want[:len(first)], first) {
		e.Fatal("planning on has changed the order of what was planned")
	}
	for _, limit := range []int{100, 401, 500, 999} {
		if got := deliveryIDs(e.deliveries(m, limit)); !slices.Equal(got, want) {
			e.Fatalf("pages of %d give another order", limit)
		}
	}
	for _, b := range e.claim(fcmLane(app), 2, 1<<20) {
		e.settle(2, all(&b, diaphone.Delivered))
	}
	for i, r := range e.deliveries(m, 501) {
		equal(e, r.Device, want[i], "device %d", i)
		equal(e, r.State, diaphone.Delivered, "state of device %d", i)
	}
}

// oneDelivery: the delivery of a device, asked for alone, is the one of the list.
func oneDelivery(e *env) {
	ids := e.crowd(1203, on("news"), ofUser("ana"))
	e.put(phone("named", on("news")))
	e.put(phone("apart", ofUser("ben")))
	e.put(phone("mute", ofUser("ben"), withTokens()))
	m := e.message(1, diaphone.Audience{Devices: []diaphone.DeviceID{"d00007", "named", "unknown"}, Users: []diaphone.UserID{"ben", "ana"}, Channels: []diaphone.ChannelName{"empty", "news"}})
	e.accept(m)
	unplanned := without(ids, deliveryIDs(e.deliveries(m, storage.MaxPage)))
	_, err := e.s.Delivery(e.ctx, app, m.ID, unplanned[0])
	e.code(err, diaphone.NotFound, "a delivery that is not planned yet")
	e.planAll(m)
	e.put(phone("late", on("news")))
	for _, b := range e.claim(fcmLane(app), 2, 700) {
		e.settle(3, all(&b, diaphone.Delivered))
	}
	list := e.deliveries(m, storage.MaxPage)
	equal(e, len(list), 1206, "deliveries")
	for _, want := range list {
		got, err := e.s.Delivery(e.ctx, app, m.ID, want.Device)
		e.no(err, "delivery of %s", want.Device)
		if !reflect.DeepEqual(got, want) {
			e.Fatalf("got %+v, the list has %+v", got, want)
		}
	}
	for _, id := range []diaphone.DeviceID{"late", "unknown", "d0000", "d000070"} {
		_, err := e.s.Delivery(e.ctx, app, m.ID, id)
		e.code(err, diaphone.NotFound, "delivery of "+string(id))
	}
	_, err = e.s.Delivery(e.ctx, other, m.ID, "named")
	e.code(err, diaphone.NotFound, "delivery of another app's message")
	_, err = e.s.Delivery(e.ctx, app, "nonsense", "named")
	e.code(err, diaphone.NotFound, "delivery of nonsense")
}

// oneDeliveryLater: a delivery is found when its device has left the audience, has come
// back, was deleted, or goes by its name anew.
func oneDeliveryLater(e *env) {
	ids := e.crowd(2100, on("a", "b"), ofUser("ana"))
	m := e.message(1, diaphone.Audience{Channels: []diaphone.ChannelName{"b", "a"}})
	e.accept(m)
	change := []func(id diaphone.DeviceID){
		func(id diaphone.DeviceID) { e.no(Leave(e.ctx, e.s, app, id, "a"), "unsubscribe") },
		func(id diaphone.DeviceID) { e.no(Leave(e.ctx, e.s, app, id, "b"), "unsubscribe") },
		func(id diaphone.DeviceID) { e.put(phone(string(id))) },
		func(id diaphone.DeviceID) { e.no(e.s.DeleteDevice(e.ctx, app, id), "delete") },
		func(id diaphone.DeviceID) {
			e.no(e.s.DeleteDevice(e.ctx, app, id), "delete")
			e.put(phone(string(id), on("a")))
		},
		func(id diaphone.DeviceID) {
			e.no(Leave(e.ctx, e.s, app, id, "b"), "unsubscribe")
			e.no(Join(e.ctx, e.s, app, id, "b"), "subscribe")
		},
		func(diaphone.DeviceID) {},
	}
	disturb := func(from int) {
		for i, f := range change {
			f(ids[from+i])
		}
	}
	disturb(100) // planned already
	e.planAll(m)
	disturb(1500)
	disturb(2050)
	list := e.deliveries(m, storage.MaxPage)
	e.exactly(list, ids)
	for _, want := range list {
		got, err := e.s.Delivery(e.ctx, app, m.ID, want.Device)
		e.no(err, "delivery of %s", want.Device)
		equal(e, got.Device, want.Device, "device of the delivery")
	}
}

func deliveryCursor(e *env) {
	e.crowd(2, on("news"))
	m, m2 := e.message(1, toChannels("news")), e.message(1, toChannels("news"))
	e.accept(m)
	e.accept(m2)
	_, next, err := e.s.Deliveries(e.ctx, app, m.ID, storage.Page{Limit: 1})
	e.no(err, "read deliveries")
	_, list, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Limit: 1})
	e.no(err, "list devices")
	for _, cursor := range []string{"x", next + "A", list} {
		_, _, err = e.s.Deliveries(e.ctx, app, m.ID, storage.Page{Cursor: cursor, Limit: 1})
		e.pointsAtCursor(err, cursor)
	}
	_, _, err = e.s.Deliveries(e.ctx, app, m2.ID, storage.Page{Cursor: next, Limit: 1})
	e.pointsAtCursor(err, next)
	_, _, err = e.s.Deliveries(e.ctx, app, m.ID, storage.Page{Limit: storage.MaxPage + 1})
	e.code(err, diaphone.Invalid, "a limit beyond the largest")
}

func sweep(e *env) {
	e.put(phone("d"))
	var messages []*diaphone.Message
	for i := range 6 {
		m := e.message(float64(i), toDevices("d"))
		_, err := e.s.Accept(e.ctx, m, storage.Idempotency{Key: fmt.Sprint("key", i)}, route)
		e.no(err, "accept")
		messages = append(messages, m)
	}
	foreign := e.message(0, toDevices("nobody"))
	foreign.App = other
	e.accept(foreign)
	for _, b := range e.claim(fcmLane(app), 10, 100) {
		if b.Message.ID != messages[1].ID { // which stays unfinished
			e.settle(11, all(&b, diaphone.Delivered))
		}
	}
	removed, more, err := e.s.Sweep(e.ctx, at(4), 2)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "2 true", "first sweep")
	removed, more, err = e.s.Sweep(e.ctx, at(4), 2)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "2 false", "second sweep")
	e.s = e.reopen()
	left := []int{}
	for i, m := range messages {
		_, err := e.s.Message(e.ctx, app, m.ID)
		if err == nil {
			left = append(left, i)
			continue
		}
		e.code(err, diaphone.NotFound, "read a swept message")
		_, _, err = e.s.Deliveries(e.ctx, app, m.ID, storage.Page{Limit: 1})
		e.code(err, diaphone.NotFound, "deliveries of a swept message")
	}
	if !slices.Equal(left, []int{1, 4, 5}) {
		e.Fatalf("messages left: %v", left)
	}
	_, err = e.s.Message(e.ctx, other, foreign.ID)
	e.code(err, diaphone.NotFound, "read the other app's swept message")

	// A swept message's key is free, a kept one's is not.
	a, err := e.s.Accept(e.ctx, e.message(20, toDevices("d")), storage.Idempotency{Key: "key0"}, route)
	e.no(err, "accept with a swept key")
	equal(e, a.Replayed, false, "replayed with a swept key")
	a, err = e.s.Accept(e.ctx, e.message(20, toDevices("d")), storage.Idempotency{Key: "key1"}, route)
	e.no(err, "accept with a kept key")
	equal(e, a.Replayed, true, "replayed with a kept key")
	b := e.claim(fcmLane(app), 100, 1)
	equal(e, b[0].Message.ID, messages[1].ID, "the unfinished message goes on")
}

func sweepBroadcast(e *env) {
	e.crowd(3000, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	e.planAll(m)
	for second := 2.0; ; second += 100 { // several settles a page
		batches := e.claim(fcmLane(app), second, 1<<20)
		if len(batches) == 0 {
			break
		}
		for _, b := range batches {
			for i := 0; i < len(b.Items); i += 25 {
				work := all(&b, diaphone.Delivered)
				work.Results = work.Results[i:min(i+25, len(work.Results))]
				e.settle(second, work)
			}
		}
	}
	equal(e, e.report(m).State, diaphone.Finished, "state")
	removed, more, err := e.s.Sweep(e.ctx, at(2), 10)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "1 false", "sweep")
	_, err = e.s.Message(e.ctx, app, m.ID)
	e.code(err, diaphone.NotFound, "read a swept broadcast")
	removed, more, err = e.s.Sweep(e.ctx, at(2), 10)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "0 false", "sweep of nothing")
}
