package push_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// cancel is what the gateway does: the mark first, then the lanes, until two answers
// agree about what is in flight.
func (w *world) cancel(id diaphone.MessageID) (cancelled, tooLate int64) {
	w.t.Helper()
	ctx := context.Background()
	if _, err := w.store.Cancel(ctx, "1", id, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	for before := -1; ; {
		aloft, err := w.engine.Recall(ctx, "1", id)
		if err != nil {
			w.t.Fatal(err)
		}
		if aloft == before {
			break
		}
		before = aloft
		c := w.counts(id)
		cancelled = c.Pending - int64(aloft) + c.Cancelled
		tooLate = c.Accepted - cancelled
	}
	return cancelled, tooLate
}

// slowSettle is a store whose answers come long after what they tell is durable.
type slowSettle struct{ storage.Outbox }

func (s slowSettle) Settle(ctx context.Context, all []storage.Settlement, now time.Time) (storage.Settled, error) {
	settled, err := s.Outbox.Settle(ctx, all, now)
	time.Sleep(7 * time.Millisecond) //nolint:forbidigo // virtual time
	return settled, err
}

// TestCancelRacesSend: whenever the message is cancelled, each delivery is either
// cancelled without an attempt from then on, or was reported as too late.
func TestCancelRacesSend(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(rt, "devices")
		slots := rapid.SampledFrom([]int{1, 7, 500}).Draw(rt, "slots")
		rate := rapid.SampledFrom([]float64{0, 50}).Draw(rt, "rate")
		after := time.Duration(rapid.IntRange(0, 90).Draw(rt, "ms")) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			w := start(t, diaphone.Credential{Concurrency: slots, Rate: rate}, accept)
			w.outbox = slowSettle{w.store}
			w.devices(n, "news")
			defer w.run()()
			id := w.send(toChannel("news"), 3600, diaphone.Always)
			time.Sleep(after) //nolint:forbidigo // virtual time
			cancelled, tooLate := w.cancel(id)
			w.until(time.Minute, w.finished(id))
			c := w.counts(id)
			if c.Cancelled != cancelled || c.Delivered != tooLate || len(w.vendor.sendings()) != int(tooLate) {
				rt.Errorf("told %d cancelled and %d too late; %+v, %d sent", cancelled, tooLate, c, len(w.vendor.sendings()))
			}
			for _, r := range w.report(id) {
				if r.State == diaphone.Cancelled && (len(r.Attempts) > 0 || r.Reason != diaphone.ReasonCancelled) {
					rt.Errorf("%+v", r)
				}
			}
			seen[fmt.Sprint(cancelled > 0, tooLate > 0)]++
		})
	})
	if seen["true true"] == 0 || seen["true false"]+seen["false true"] == 0 {
		t.Errorf("the race was never close: %v", seen)
	}
}

// What was to be tried again is not, neither from the queue nor from in flight.
func TestCancelEndsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 20}, func(*diaphone.Delivery, int) diaphone.Outcome {
			return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503}
		})
		defer w.run()()
		w.devices(60, "news")
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(1990 * time.Millisecond) //nolint:forbidigo // virtual time
		cancelled, tooLate := w.cancel(id)
		sent := len(w.vendor.sendings())
		w.until(time.Minute, w.finished(id))
		time.Sleep(time.Hour) //nolint:forbidigo // virtual time
		if c := w.counts(id); c.Cancelled != 60 || cancelled+tooLate != 60 || len(w.vendor.sendings()) != sent {
			t.Errorf("told %d and %d; %+v, %d sent, then %d", cancelled, tooLate, c, sent, len(w.vendor.sendings()))
		}
	})
}

// One that comes to wait for a proof only after the cancellation does not wait.
func TestCancelBeforeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		until := time.Now().Add(5 * time.Second)
		w.taken = func(diaphone.UserID) (diaphone.Taking, time.Time) {
			time.Sleep(50 * time.Millisecond) //nolint:forbidigo // virtual time
			if time.Now().Before(until) {
				return "", until
			}
			return "", time.Time{}
		}
		w.devices(3, "news")
		defer w.run()()
		id := w.send(toChannel("news"), 3600, diaphone.Away)
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // virtual time
		if cancelled, tooLate := w.cancel(id); cancelled != 0 || tooLate != 3 {
			t.Errorf("%d cancelled, %d too late", cancelled, tooLate)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		if c := w.counts(id); c.Cancelled != 3 || len(w.vendor.sendings()) != 0 {
			t.Errorf("%+v, %d sent", c, len(w.vendor.sendings()))
		}
	})
}

// Who waits for a proof is not sent anything after all.
func TestCancelEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		p := &proofs{until: map[diaphone.UserID]time.Time{"ana": time.Now().Add(20 * time.Second)}}
		w.taken = p.taken
		w.devices(3, "news")
		defer w.run()()
		id := w.send(toChannel("news"), 3600, diaphone.Away)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		if cancelled, tooLate := w.cancel(id); cancelled != 3 || tooLate != 0 {
			t.Errorf("%d cancelled, %d too late", cancelled, tooLate)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		if c := w.counts(id); c.Cancelled != 3 || len(w.vendor.sendings()) != 0 {
			t.Errorf("%+v, %d sent", c, len(w.vendor.sendings()))
		}
	})
}

// A cancellation that a crash interrupts holds.
func TestCancelSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.devices(1200, "news")
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		if _, err := w.store.Cancel(context.Background(), "1", id, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		w.open()
		defer w.run()()
		w.until(10*time.Second, w.finished(id))
		if c := w.counts(id); c.Cancelled != 1000 || len(w.vendor.sendings()) != 0 {
			t.Errorf("%+v, %d sent", c, len(w.vendor.sendings()))
		}
	})
}

// While a provider is paused or gone, cancelling does not wait for it.
func TestCancelOnAPausedLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			sent.Add(1)
			return diaphone.Outcome{Verdict: diaphone.Denied, Status: 403}
		})
		defer w.run()()
		w.devices(700, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time
		cancelled, tooLate := w.cancel(id)
		before := sent.Load()
		w.until(10*time.Second, w.finished(id))
		if c := w.counts(id); c.Cancelled != 700 || cancelled < 690 || cancelled+tooLate != 700 || sent.Load() != before {
			t.Errorf("told %d and %d; %+v", cancelled, tooLate, c)
		}
	})
}
