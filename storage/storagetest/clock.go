package storagetest

import (
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Clocks are set: by an hour too much and back, by a machine that wakes up, between the
// end of one process and the start of the next. Whatever the times in the store say
// then, nothing is handed out twice, and nothing is lost.
func clockTests() []test {
	return []test{
		{"the clock is set while a batch is out", clockWhileLeased},
		{"the clock is set while a retry waits", clockWhileRetrying},
		{"the clock is set while a message waits for its time", clockWhileScheduled},
		{"the clock is set while an idempotency key counts", clockOfKeys},
		{"the clock is set before a cancel", clockOfCancel},
		{"the clock was ahead when a token was registered", clockOfTokens},
	}
}

const hour = 3600

// jumps are by how much the clock is set, and whether a new process finds it so.
func jumps(e *env, do func(by float64, change func())) {
	for _, by := range []float64{hour, -hour} {
		do(by, func() {})
		do(by, func() { e.s = e.reopen() })
	}
}

func clockWhileLeased(e *env) {
	e.put(phone("d"))
	for _, by := range []float64{hour, -hour} {
		m := e.message(1000, toDevices("d"))
		e.accept(m)
		out := e.claim(fcmLane(app), 1000, 10)
		equal(e, len(out), 1, "batches")
		// To the store an hour ahead is an hour later: the lease has run out, and whoever
		// has the batch now is the one who settles it. Who holds leases goes by a clock
		// that nobody sets (push has a test of it).
		again := e.claim(fcmLane(app), 1000+by, 10)
		if by < 0 {
			equal(e, len(again), 0, "batches that are out already")
			equal(e, len(e.settle(1000+by, all(&out[0], diaphone.Delivered)).Fenced), 0, "fenced")
		} else {
			equal(e, len(again), 1, "batches whose lease has run out")
			equal(e, len(e.settle(1000+by, all(&out[0], diaphone.Delivered)).Fenced), 1, "fenced")
			equal(e, len(e.settle(1000, all(&again[0], diaphone.Delivered)).Fenced), 0, "fenced, with the clock set back")
		}
		equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1, Delivered: 1}, "counts")
		for _, now := range []float64{1000 - hour, 1000, 1000 + hour, 1000 + 2*hour} {
			equal(e, len(e.claim(fcmLane(app), now, 10)), 0, "batches at second %v", now)
		}
	}
}

func clockWhileRetrying(e *env) {
	e.put(phone("d"))
	jumps(e, func(by float64, change func()) {
		m := e.message(1000, toDevices("d"))
		e.accept(m)
		first := e.claim(fcmLane(app), 1000, 10)
		equal(e, len(first), 1, "batches")
		e.settle(1000, storage.Settlement{Batch: &first[0], Results: []storage.Result{
			{Index: first[0].Items[0].Index, State: diaphone.Pending, RetryAt: at(1010), Tries: 1}}})
		change()
		got, next := e.claimNext(fcmLane(app), 1000+by, 10)
		if by < 0 {
			equal(e, len(got), 0, "batches before the time of the retry")
			equal(e, next, at(1010), "next")
			got = e.claim(fcmLane(app), 1011, 10)
		}
		equal(e, len(got), 1, "batches")
		equal(e, got[0].Items[0].Tries, 1, "tries")
		equal(e, len(e.claim(fcmLane(app), 1011, 10)), 0, "the same again, with the clock set back")
		e.settle(1012, all(&got[0], diaphone.Delivered))
		equal(e, len(e.claim(fcmLane(app), 1000+2*hour, 10)), 0, "batches afterwards")
		equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1, Delivered: 1}, "counts")
	})
}

func clockWhileScheduled(e *env) {
	e.put(phone("d"))
	jumps(e, func(by float64, change func()) {
		m := e.scheduled(1000, 2000, toDevices("d"))
		e.accept(m)
		change()
		ids, next := e.due(1000+by, 10)
		if by < 0 {
			equal(e, len(ids), 0, "due with the clock set back")
			equal(e, next, at(2000), "next")
		} else {
			equal(e, fmt.Sprint(ids), fmt.Sprint([]diaphone.MessageID{m.ID}), "due with the clock set forward")
		}
		_, began := e.start(m)
		equal(e, began, true, "began")
		change()
		for _, now := range []float64{1000 - hour, 1000, 2000, 2000 + hour} {
			ids, _ := e.due(now, 10)
			equal(e, len(ids), 0, "due at second %v, having begun", now)
		}
		_, began = e.start(m)
		equal(e, began, false, "began again")
		out := e.claim(fcmLane(app), 2000+hour, 10)
		equal(e, len(out), 1, "batches")
		e.settle(1000, all(&out[0], diaphone.Delivered)) // and set back
		equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1, Delivered: 1}, "counts")
	})
}

// A key is promised for a day, and kept for the retention, which is a day at least.
func clockOfKeys(e *env) {
	e.put(phone("d"))
	n := 0
	jumps(e, func(by float64, change func()) {
		n++
		key := storage.Idempotency{Key: fmt.Sprint("order ", n), Body: [32]byte{1}}
		m := e.message(1000, toDevices("d"))
		_, err := e.s.Accept(e.ctx, m, key, route)
		e.no(err, "accept")
		out := e.claim(fcmLane(app), 1000, 10)
		e.settle(1000, all(&out[0], diaphone.Delivered))
		change()
		_, _, err = e.s.Sweep(e.ctx, at(1000+by).Add(-24*time.Hour), 100)
		e.no(err, "sweep")
		again, err := e.s.Accept(e.ctx, e.message(1000+by, toDevices("d")), key, route)
		e.no(err, "accept again")
		equal(e, again.ID, m.ID, "id of the replay")
		equal(e, again.Replayed, true, "replayed")
		equal(e, len(e.claim(fcmLane(app), 1000+2*hour, 10)), 0, "batches of the replay")
	})
}

func clockOfCancel(e *env) {
	e.put(phone("d"))
	jumps(e, func(by float64, change func()) {
		m, later := e.message(1000, toDevices("d")), e.scheduled(1000, 1000+hour, toDevices("d"))
		e.accept(m)
		e.accept(later)
		change()
		for _, one := range []*diaphone.Message{m, later} {
			r, err := e.s.Cancel(e.ctx, one.App, one.ID, at(1000+by))
			e.no(err, "cancel")
			equal(e, r.CancelledAt, at(1000+by), "cancelled at")
		}
		for _, b := range e.claim(fcmLane(app), 1000+2*hour, 10) {
			equal(e, b.Cancelled, true, "cancelled")
			e.settle(1000, all(&b, diaphone.Cancelled))
		}
		_, began := e.start(later)
		equal(e, began, false, "what was cancelled began")
		equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1, Cancelled: 1}, "counts")
		ids, _ := e.due(1000+3*hour, 10)
		equal(e, len(ids), 0, "due")
	})
}

// A vendor's word about a token is believed only if it is younger than the
// registration. With the clock ahead of the vendor's then, the token stays until it
// is: better a push to nobody than a phone that is lost.
func clockOfTokens(e *env) {
	_, _, err := Put(e.ctx, e.s, phone("d"), at(1000+hour))
	e.no(err, "put")
	dead := func(now float64) int {
		m := e.message(now, toDevices("d"))
		e.accept(m)
		out := e.claim(fcmLane(app), now, 10)
		return e.settle(now, storage.Settlement{Batch: &out[0], Results: []storage.Result{{Index: out[0].Items[0].Index, State: diaphone.Failed,
			Forget: &storage.Forget{Device: "d", Token: fcmToken("token-of-d"), Since: at(now)}}}}).Forgotten
	}
	equal(e, dead(1000), 0, "tokens forgotten before they were registered")
	equal(e, dead(1000+hour), 1, "tokens forgotten")
}
