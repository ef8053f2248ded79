package storagetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func cancelTests() []test {
	return []test{
		{"what waits is claimed as cancelled", cancelQueued},
		{"what is out is not tried again", cancelLeased},
		{"a scheduled message never starts", cancelScheduled},
		{"planning ends", cancelPlanning},
		{"too late, twice, and unknown", cancelLate},
	}
}

func (e *env) cancel(m *diaphone.Message, second float64) storage.MessageReport {
	e.Helper()
	r, err := e.s.Cancel(e.ctx, m.App, m.ID, at(second))
	e.no(err, "cancel")
	if again := e.report(m); fmt.Sprint(again.State, again.Counts, again.CancelledAt, again.Unsent) != fmt.Sprint(r.State, r.Counts, r.CancelledAt, r.Unsent) {
		e.Fatalf("cancel gave %+v, the report is %+v", r, again)
	}
	return r
}

func cancelQueued(e *env) {
	e.crowd(3)
	m, other := e.message(1, toDevices("d00000", "d00001")), e.message(1, toDevices("d00002"))
	e.accept(m)
	e.accept(other)
	r := e.cancel(m, 2)
	equal(e, r.Counts, diaphone.Counts{Accepted: 2, Pending: 2}, "counts at once")
	equal(e, r.CancelledAt, at(2), "cancelled at")
	e.s = e.reopen()
	equal(e, e.report(m).CancelledAt, at(2), "cancelled at, after reopening")
	batches := e.claim(fcmLane(app), 3, 10)
	equal(e, len(batches), 2, "batches")
	for _, b := range batches {
		equal(e, b.Cancelled, b.Message.ID == m.ID, "cancelled: %s", b.Message.ID)
		if b.Cancelled {
			e.settle(4, all(&b, diaphone.Cancelled))
		}
	}
	r = e.report(m)
	equal(e, r.Counts, diaphone.Counts{Accepted: 2, Cancelled: 2}, "counts")
	equal(e, fmt.Sprintf("%s %t", r.State, r.FinishedAt.Equal(at(4))), "finished true", "state")
}

func cancelLeased(e *env) {
	e.crowd(4, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 10)[0]
	again := storage.Result{Index: 0, State: diaphone.Pending, RetryAt: at(10), Tries: 1}
	e.settle(3, storage.Settlement{Batch: &b, Results: []storage.Result{again}})
	e.cancel(m, 4)
	attempt := diaphone.Attempt{At: at(4), Verdict: diaphone.Retry, Status: 503}
	results := []storage.Result{{Index: 1, State: diaphone.Pending, Reason: "UNAVAILABLE", RetryAt: at(10), Tries: 1, Attempt: &attempt}, {Index: 2, State: diaphone.Delivered}}
	kept := slices.Clone(results)
	e.settle(5, storage.Settlement{Batch: &b, Results: results, Release: true})
	equal(e, results[0].State, kept[0].State, "the caller's result is left alone")
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 4, Pending: 2, Delivered: 1, Cancelled: 1}, "counts")
	told := e.deliveries(m, 10)[1]
	equal(e, fmt.Sprintf("%s %s %d %t", told.State, told.Reason, len(told.Attempts), told.RetryAt.IsZero()), "cancelled "+diaphone.ReasonCancelled+" 1 true", "the delivery")
	for _, b := range e.claim(fcmLane(app), 20, 10) {
		equal(e, b.Cancelled, true, "cancelled")
		e.settle(21, all(&b, diaphone.Cancelled))
	}
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 4, Delivered: 1, Cancelled: 3}, "counts")
}

func cancelScheduled(e *env) {
	e.put(phone("d"))
	m := e.scheduled(1, 100, toDevices("d"))
	e.accept(m)
	for range 2 {
		r := e.cancel(m, 50)
		equal(e, fmt.Sprintf("%s %t %d %t", r.State, r.Unsent, r.Counts.Accepted, r.CancelledAt.Equal(at(50))), "finished true 0 true", "the report")
		ids, next := e.due(1e6, 10)
		_, began := e.start(m)
		equal(e, fmt.Sprint(len(ids), next.IsZero(), began), "0 true false", "due, next, began")
		e.s = e.reopen()
	}
	removed, _, err := e.s.Sweep(e.ctx, at(1e6), 10)
	e.no(err, "sweep")
	equal(e, removed, 1, "removed")
}

func cancelPlanning(e *env) {
	e.crowd(1300, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	e.cancel(m, 2)
	refs, err := e.s.Unplanned(e.ctx, 10)
	e.no(err, "unplanned")
	done, _, err := e.s.Plan(e.ctx, app, m.ID, route)
	e.no(err, "plan")
	equal(e, fmt.Sprint(len(refs), done, e.report(m).Counts.Accepted), "0 true 1000", "unplanned, done, deliveries")
	for _, b := range e.claim(fcmLane(app), 3, 1<<20) {
		e.settle(4, all(&b, diaphone.Cancelled))
	}
	equal(e, e.report(m).State, diaphone.Finished, "state")
}

func cancelLate(e *env) {
	e.put(phone("d"))
	m := e.message(1, toDevices("d"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 1)[0]
	e.settle(3, all(&b, diaphone.Delivered))
	r := e.cancel(m, 4)
	equal(e, fmt.Sprintf("%s %d %t %t", r.State, r.Counts.Delivered, r.CancelledAt.IsZero(), r.Unsent), "finished 1 true false", "of a finished message")
	twice := e.message(1, toDevices("d"))
	e.accept(twice)
	e.cancel(twice, 5)
	equal(e, e.cancel(twice, 6).CancelledAt, at(5), "the second time")
	for _, id := range []diaphone.MessageID{diaphone.NewMessageID(at(1)), "", "nonsense"} {
		_, err := e.s.Cancel(e.ctx, app, id, at(1))
		e.code(err, diaphone.NotFound, "cancel "+string(id))
	}
	_, err := e.s.Cancel(e.ctx, other, twice.ID, time.Now())
	e.code(err, diaphone.NotFound, "cancel another app's")
}
