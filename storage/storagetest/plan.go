package storagetest

import (
	"fmt"
	"slices"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func planTests() []test {
	return []test{
		{"2,500 devices in three pages", broadcast},
		{"a device in several sources is planned once", onceAcrossSources},
		{"sources change while planning", changesWhilePlanning},
		{"planning goes on after reopening", planSurvives},
		{"unroutable devices fail at once", unroutable},
		{"batches by lane", byLane},
		{"the route knows the message", routeByMessage},
		{"unplanned, oldest first", unplanned},
		{"a broadcast that ends while it is planned", endsWhilePlanned},
	}
}

// crowd registers n devices on the channel, device by device, with options.
func (e *env) crowd(n int, options ...func(*diaphone.Device)) []diaphone.DeviceID {
	e.Helper()
	ids := make([]diaphone.DeviceID, n)
	errs := make(chan error)
	for i := range n {
		ids[i] = diaphone.DeviceID(fmt.Sprintf("d%05d", i))
		go func() {
			_, _, err := Put(e.ctx, e.s, phone(string(ids[i]), options...), at(0))
			errs <- err
		}()
	}
	for range n {
		e.no(<-errs, "put")
	}
	return ids
}

// exactly fails unless the reports name the devices, each once.
func (e *env) exactly(got []storage.DeliveryReport, want []diaphone.DeviceID) {
	e.Helper()
	ids := deliveryIDs(got)
	slices.Sort(ids)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(ids, want) {
		e.Fatalf("%d deliveries for %d devices; twice: %v; missing: %v; too many: %v", len(ids), len(want),
			twice(ids), without(want, ids), without(ids, want))
	}
}

func twice(sorted []diaphone.DeviceID) (out []diaphone.DeviceID) {
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			out = append(out, sorted[i])
		}
	}
	return out
}

func without(a, b []diaphone.DeviceID) (out []diaphone.DeviceID) {
	in := map[diaphone.DeviceID]bool{}
	for _, id := range b {
		in[id] = true
	}
	for _, id := range a {
		if !in[id] {
			out = append(out, id)
		}
	}
	return out
}

func broadcast(e *env) {
	ids := e.crowd(2500, on("news"))
	m := e.message(1, toChannels("news"))
	a := e.accept(m)
	equal(e, a.Planned, false, "planned by the accept")
	equal(e, a.Counts.Accepted, storage.PlanPage, "deliveries planned by the accept")
	if !slices.Equal(a.Lanes, []diaphone.Lane{fcmLane(app)}) {
		e.Fatalf("lanes %v", a.Lanes)
	}
	equal(e, e.report(m).State, diaphone.Processing, "state")
	equal(e, e.planAll(m), 2, "further steps")
	done, lanes, err := e.s.Plan(e.ctx, app, m.ID, route)
	e.no(err, "plan after the end")
	equal(e, fmt.Sprint(done, len(lanes)), "true 0", "plan after the end")
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 2500, Pending: 2500}, "counts")
	e.exactly(e.deliveries(m, 777), ids)

	total, seen := 0, map[diaphone.DeviceID]bool{}
	for _, b := range e.claim(fcmLane(app), 2, 1<<20) {
		if len(b.Items) > storage.MaxBatch {
			e.Fatalf("a batch of %d", len(b.Items))
		}
		equal(e, b.Urgent, false, "a broadcast is urgent")
		for _, it := range b.Items {
			total++
			seen[it.Device] = true
		}
	}
	equal(e, fmt.Sprint(total, len(seen)), "2500 2500", "deliveries claimed, and of different devices")
}

// routeByMessage: on every page the route is asked with the message as it was accepted.
func routeByMessage(e *env) {
	e.crowd(1100, on("news"))
	m := e.message(1, toChannels("news"))
	m.Notification = &diaphone.Notification{Mode: diaphone.ModeVoIP, Data: map[string]string{"k": "v"}}
	byMode := func(m *diaphone.Message, d *diaphone.Device) (diaphone.Lane, diaphone.TokenKind, string) {
		if m.Notification.Mode == diaphone.ModeVoIP {
			return apnsLane(d.App), diaphone.TokenAPNsVoIP, ""
		}
		return diaphone.Lane{}, "", "lost"
	}
	_, err := e.s.Accept(e.ctx, m, storage.Idempotency{}, byMode)
	e.no(err, "accept")
	for done := false; !done; {
		done, _, err = e.s.Plan(e.ctx, app, m.ID, byMode)
		e.no(err, "plan")
	}
	n := 0
	for _, b := range e.claim(apnsLane(app), 2, 1<<20) {
		for _, it := range b.Items {
			equal(e, it.Kind, diaphone.TokenAPNsVoIP, "kind of token")
			n++
		}
	}
	equal(e, n, 1100, "deliveries")
}

func onceAcrossSources(e *env) {
	e.put(phone("a", ofUser("ana"), on("news", "sport")))
	e.put(phone("b", ofUser("ana"), on("sport")))
	e.put(phone("c", on("news")))
	e.put(phone("out", ofUser("ben"), on("weather")))
	m := e.message(1, diaphone.Audience{
		Users:    []diaphone.UserID{"ana", "nobody", "ana"},
		Devices:  []diaphone.DeviceID{"a", "missing", "a"},
		Channels: []diaphone.ChannelName{"news", "empty", "sport", "news"},
	})
	a := e.accept(m)
	equal(e, a.Planned, true, "planned")
	e.exactly(e.deliveries(m, 10), []diaphone.DeviceID{"a", "b", "c"})
}

// changesWhilePlanning moves devices about after the first of several pages.
func changesWhilePlanning(e *env) {
	e.put(phone("joins", on("sport")))
	ids := e.crowd(2200, on("news"))
	first, last := ids[0], ids[0]
	for _, d := range e.listed()[1:] { // the store's own order, which planning follows
		if first == ids[0] && last == ids[0] {
			first = d
		}
		last = d
	}
	both, moving := diaphone.DeviceID("both"), diaphone.DeviceID("moving")
	e.put(phone("both", on("news", "sport")))
	e.put(phone("moving", on("news", "sport")))
	e.put(phone("leaving", on("news")))
	e.put(phone("deleted", on("sport")))
	m := e.message(1, toChannels("news", "sport"))
	e.accept(m)

	// The first device has been planned. It moves to a source that is still to come.
	e.no(Join(e.ctx, e.s, app, first, "sport"), "subscribe")
	e.no(Leave(e.ctx, e.s, app, first, "news"), "unsubscribe")
	// This one joins the first source where planning has passed already.
	e.no(Join(e.ctx, e.s, app, "joins", "news"), "subscribe")
	// These have not been planned. One leaves the first source and stays in the second, one
	// leaves and comes back, one leaves for good, one is deleted, one moves on.
	e.no(Leave(e.ctx, e.s, app, moving, "news"), "unsubscribe")
	e.no(Leave(e.ctx, e.s, app, last, "news"), "unsubscribe")
	e.no(Join(e.ctx, e.s, app, last, "news"), "subscribe")
	e.no(Leave(e.ctx, e.s, app, "leaving", "news"), "unsubscribe")
	e.no(e.s.DeleteDevice(e.ctx, app, "deleted"), "delete")
	_, _, err := Put(e.ctx, e.s, phone("both", on("sport", "news")), at(2))
	e.no(err, "put again")

	e.planAll(m)
	e.exactly(e.deliveries(m, 1000), append(ids, both, moving, "joins"))
}

func (e *env) listed() (ids []diaphone.DeviceID) {
	e.Helper()
	for cursor := ""; ; {
		page, next, err := e.s.ListDevices(e.ctx, app, "", storage.Page{Cursor: cursor, Limit: storage.MaxPage})
		e.no(err, "list")
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if cursor = next; next == "" {
			return ids
		}
	}
}

func planSurvives(e *env) {
	ids := e.crowd(2100, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	for {
		e.s = e.reopen()
		refs, err := e.s.Unplanned(e.ctx, 10)
		e.no(err, "unplanned")
		if len(refs) == 0 {
			break
		}
		equal(e, refs[0], storage.Ref{App: app, ID: m.ID}, "unplanned message")
		if _, _, err := e.s.Plan(e.ctx, app, m.ID, route); err != nil {
			e.Fatalf("plan: %v", err)
		}
	}
	e.exactly(e.deliveries(m, 1000), ids)
}

func unroutable(e *env) {
	e.put(phone("a", on("news")))
	e.put(phone("b", on("news"), withTokens()))
	m := e.message(1, toChannels("news"))
	a := e.accept(m)
	equal(e, a.Counts, diaphone.Counts{Accepted: 2, Pending: 1, Failed: 1}, "counts")
	reports := e.deliveries(m, 10)
	equal(e, reports[1].Device, "b", "second delivery")
	equal(e, reports[1].State, diaphone.Failed, "state of the unroutable")
	equal(e, reports[1].Reason, "no_token", "reason of the unroutable")
	equal(e, reports[1].Lane, diaphone.Lane{}, "lane of the unroutable")
	equal(e, reports[0].State, diaphone.Pending, "state of the other")
	equal(e, reports[0].Lane, fcmLane(app), "lane of the other")
	batches := e.claim(fcmLane(app), 1, 10)
	equal(e, len(batches[0].Items), 1, "deliveries in the batch")
	equal(e, batches[0].Items[0].Device, "a", "device in the batch")

	nobody := e.message(2, toDevices("b"))
	a = e.accept(nobody)
	equal(e, len(a.Lanes), 0, "lanes with work")
	r := e.report(nobody)
	equal(e, r.State, diaphone.Finished, "state of a message that reaches nobody")
	equal(e, r.FinishedAt, at(2), "finished at")
}

func byLane(e *env) {
	e.put(phone("f", ofUser("ana")))
	e.put(phone("a", ofUser("ana"), withTokens(diaphone.Token{Kind: diaphone.TokenAPNs, Value: "ab"})))
	m := e.message(1, toUsers("ana"))
	a := e.accept(m)
	lanes := slices.SortedFunc(slices.Values(a.Lanes), func(x, y diaphone.Lane) int { return slices.Compare([]byte(x.Credential), []byte(y.Credential)) })
	if !slices.Equal(lanes, []diaphone.Lane{apnsLane(app), fcmLane(app)}) {
		e.Fatalf("lanes %v", lanes)
	}
	for lane, want := range map[diaphone.Lane]storage.Item{
		apnsLane(app): {Device: "a", Kind: diaphone.TokenAPNs, Index: 1},
		fcmLane(app):  {Device: "f", Kind: diaphone.TokenFCM, Index: 0},
	} {
		batches := e.claim(lane, 1, 10)
		equal(e, len(batches), 1, "batches of %v", lane)
		b := batches[0]
		equal(e, b.Lane, lane, "lane of the batch")
		equal(e, b.Urgent, true, "a message to a user is urgent")
		equal(e, b.Message.ID, m.ID, "message of the batch")
		equal(e, b.Message.Notification.Title, "hello", "title of the batch's message")
		equal(e, len(b.Items), 1, "deliveries of %v", lane)
		equal(e, b.Items[0], want, "delivery of %v", lane)
	}
}

func unplanned(e *env) {
	e.crowd(storage.PlanPage+1, on("news"))
	var want []storage.Ref
	for i := range 3 {
		m := e.message(float64(10-i), toChannels("news")) // their order is that of their accepts
		m.App = app
		e.accept(m)
		want = append(want, storage.Ref{App: app, ID: m.ID})
	}
	e.accept(e.message(1, toChannels("empty")))
	for limit := range 5 {
		got, err := e.s.Unplanned(e.ctx, limit)
		e.no(err, "unplanned")
		if !slices.Equal(got, want[:min(limit, 3)]) {
			e.Fatalf("limit %d: got %v, want %v", limit, got, want)
		}
	}
}

func endsWhilePlanned(e *env) {
	e.crowd(storage.PlanPage+1, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	drain := func() (finished []storage.Ref) {
		for _, b := range e.claim(fcmLane(app), 2, 1<<20) {
			finished = append(finished, e.settle(3, all(&b, diaphone.Delivered)).Finished...)
		}
		return finished
	}
	equal(e, len(drain()), 0, "messages finished before planning is")
	equal(e, e.report(m).State, diaphone.Processing, "state before planning is done")
	e.planAll(m)
	finished := drain()
	equal(e, len(finished), 1, "messages finished")
	equal(e, finished[0], storage.Ref{App: app, ID: m.ID}, "finished message")
	equal(e, e.report(m).FinishedAt, at(3), "finished at")
}
