package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func scheduleTests() []test {
	return []test{
		{"a scheduled message waits whole", scheduledWaits},
		{"due in the order of their times", dueInOrder},
		{"each starts once, also after reopening", startsOnce},
		{"many start at once", startRace},
		{"the audience is that of the start", audienceOfTheStart},
		{"a scheduled event alone", scheduledEvent},
		{"a scheduled broadcast", scheduledBroadcast},
		{"history is kept from the time of sending", keptFromSending},
		{"starting what does not wait", startOfOthers},
	}
}

// scheduled is a message that is accepted at one second and due at another.
func (e *env) scheduled(second, due float64, to diaphone.Audience) *diaphone.Message {
	m := e.message(second, to)
	m.SendAt, m.Expires = at(due), at(due+3600)
	return m
}

func (e *env) due(second float64, limit int) (ids []diaphone.MessageID, next time.Time) {
	e.Helper()
	all, next, err := e.s.Due(e.ctx, at(second), limit)
	e.no(err, "due")
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	return ids, next
}

func (e *env) start(m *diaphone.Message) (storage.Accepted, bool) {
	e.Helper()
	a, began, err := e.s.Start(e.ctx, m.App, m.ID, route)
	e.no(err, "start")
	return a, began
}

func scheduledWaits(e *env) {
	e.put(phone("d"))
	m := e.scheduled(1, 100, toDevices("d"))
	m.When, m.Event = diaphone.Away, &diaphone.Event{Name: "e", Data: "{}"}
	m.Confirm = diaphone.Confirmation{Within: 1500 * time.Millisecond, By: diaphone.ByReceipt}
	a := e.accept(m)
	equal(e, fmt.Sprint(a.Planned, len(a.Lanes), a.Counts.Accepted), "false 0 0", "planned, lanes, deliveries")
	for range 2 {
		r := e.report(m)
		equal(e, r.State, diaphone.Scheduled, "state")
		equal(e, r.FinishedAt.IsZero(), true, "not finished")
		if !reflect.DeepEqual(r.Message, m) {
			e.Fatalf("got %+v, want %+v", r.Message, m)
		}
		all, _, err := e.s.Due(e.ctx, at(100), 10)
		e.no(err, "due")
		if len(all) != 1 || !reflect.DeepEqual(all[0], m) {
			e.Fatalf("due: %+v, want %+v", all, m)
		}
		refs, err := e.s.Unplanned(e.ctx, 10)
		e.no(err, "unplanned")
		done, _, err := e.s.Plan(e.ctx, app, m.ID, route)
		e.no(err, "plan")
		equal(e, fmt.Sprint(len(refs), done, len(e.claim(fcmLane(app), 1000, 10))), "0 true 0", "unplanned, nothing to plan, batches")
		e.s = e.reopen()
	}
}

func dueInOrder(e *env) {
	ids, next := e.due(1e6, 10)
	equal(e, fmt.Sprint(len(ids), next.IsZero()), "0 true", "of an empty schedule")
	late, early, last := e.scheduled(1, 30, toDevices("d")), e.scheduled(2, 20, toDevices("d")), e.scheduled(0, 40, toDevices("d"))
	early.App = other
	for _, m := range []*diaphone.Message{late, early, last} {
		e.accept(m)
	}
	ids, next = e.due(19.999, 10)
	equal(e, len(ids), 0, "before the first")
	equal(e, next, at(20), "next")
	ids, next = e.due(30, 10)
	if !slices.Equal(ids, []diaphone.MessageID{early.ID, late.ID}) || !next.Equal(at(40)) {
		e.Fatalf("due %v, next %v", ids, next)
	}
	ids, next = e.due(50, 1)
	if !slices.Equal(ids, []diaphone.MessageID{early.ID}) || !next.Equal(at(30)) {
		e.Fatalf("one of them: due %v, next %v", ids, next)
	}
}

// startsOnce: a clock that is set back, or a restart, begins nothing again.
func startsOnce(e *env) {
	e.put(phone("d"))
	m := e.scheduled(1, 100, toDevices("d"))
	e.accept(m)
	a, began := e.start(m)
	equal(e, fmt.Sprint(began, a.ID == m.ID, a.Planned, a.Counts.Pending, a.Lanes), "true true true 1 [1/fcm]", "the start")
	equal(e, e.report(m).State, diaphone.Processing, "state")
	for range 2 {
		ids, next := e.due(1e6, 10)
		equal(e, fmt.Sprint(len(ids), next.IsZero()), "0 true", "due")
		_, began = e.start(m)
		equal(e, began, false, "began again")
		e.s = e.reopen()
	}
	_, next := e.claimNext(fcmLane(app), 99, 10)
	equal(e, next, at(100), "its deliveries are due")
	got := e.claim(fcmLane(app), 100, 10)
	equal(e, len(got), 1, "batches")
	e.settle(101, all(&got[0], diaphone.Delivered))
	equal(e, e.report(m).State, diaphone.Finished, "state")
	equal(e, len(e.claim(fcmLane(app), 1e6, 10)), 0, "batches later")
}

func startRace(e *env) {
	e.put(phone("d"))
	m := e.scheduled(1, 100, toDevices("d"))
	e.accept(m)
	var mu sync.Mutex
	started := 0
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			_, began, err := e.s.Start(e.ctx, app, m.ID, route)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				e.Errorf("start: %v", err)
			}
			if began {
				started++
			}
		})
	}
	group.Wait()
	equal(e, started, 1, "starts that began it")
	equal(e, e.report(m).Counts.Accepted, 1, "deliveries")
}

func audienceOfTheStart(e *env) {
	e.put(phone("stays", on("news")))
	e.put(phone("leaves", on("news")))
	m := e.scheduled(1, 100, toChannels("news"))
	e.accept(m)
	e.put(phone("comes", on("news")))
	e.no(Leave(e.ctx, e.s, app, "leaves", "news"), "unsubscribe")
	e.start(m)
	e.exactly(e.deliveries(m, 10), []diaphone.DeviceID{"stays", "comes"})
}

func scheduledEvent(e *env) {
	m := e.scheduled(1, 100, toChannels("news"))
	m.Event, m.Notification = &diaphone.Event{Name: "e", Data: "{}"}, nil
	e.accept(m)
	equal(e, e.report(m).State, diaphone.Scheduled, "state")
	a, began := e.start(m)
	equal(e, fmt.Sprint(began, a.Planned), "true true", "began, and planned")
	r := e.report(m)
	equal(e, r.State, diaphone.Finished, "state")
	equal(e, r.FinishedAt, at(100), "finished at")
}

func scheduledBroadcast(e *env) {
	m := e.scheduled(1, 100, toChannels("news"))
	e.accept(m)
	earlier := e.message(2, toChannels("news"))
	ids := e.crowd(1300, on("news"))
	e.accept(earlier)
	a, _ := e.start(m)
	equal(e, a.Planned, false, "planned by the start")
	refs, err := e.s.Unplanned(e.ctx, 10)
	e.no(err, "unplanned")
	if want := []storage.Ref{{App: app, ID: earlier.ID}, {App: app, ID: m.ID}}; !slices.Equal(refs, want) {
		e.Fatalf("unplanned %v, want %v: oldest start first", refs, want)
	}
	e.planAll(m)
	e.exactly(e.deliveries(m, 1000), ids)
}

func keptFromSending(e *env) {
	key := storage.Idempotency{Key: "k"}
	m := e.scheduled(1, 1000, toDevices("nobody"))
	_, err := e.s.Accept(e.ctx, m, key, route)
	e.no(err, "accept")
	removed, _, err := e.s.Sweep(e.ctx, at(2000), 10)
	e.no(err, "sweep")
	equal(e, removed, 0, "removed while it waits")
	a, err := e.s.Accept(e.ctx, e.scheduled(1, 1000, toDevices("nobody")), key, route)
	e.no(err, "accept again")
	equal(e, fmt.Sprint(a.Replayed, a.ID == m.ID), "true true", "replayed")
	e.start(m)
	for before, want := range map[float64]int{999: 0, 1000: 0} {
		removed, _, err = e.s.Sweep(e.ctx, at(before), 10)
		e.no(err, "sweep")
		equal(e, removed, want, "removed of those before %v", before)
	}
	removed, _, err = e.s.Sweep(e.ctx, at(1001), 10)
	e.no(err, "sweep")
	equal(e, removed, 1, "removed")
}

func startOfOthers(e *env) {
	for _, id := range []diaphone.MessageID{diaphone.NewMessageID(at(1)), "", "nonsense"} {
		_, _, err := e.s.Start(e.ctx, app, id, route)
		e.code(err, diaphone.NotFound, "start "+string(id))
	}
	m := e.message(1, toDevices("d"))
	e.accept(m)
	_, began := e.start(m)
	equal(e, began, false, "began a message that is sent at once")
}
