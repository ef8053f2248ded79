package push_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func (w *world) phone(id diaphone.DeviceID, user diaphone.UserID) {
	w.t.Helper()
	w.put(diaphone.Device{App: "1", ID: id, Platform: diaphone.Android, User: user,
		Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: diaphone.Secret("token-" + id)}}})
}

func toUser(u diaphone.UserID) diaphone.Audience {
	return diaphone.Audience{Users: []diaphone.UserID{u}}
}

// TestOneDeniedDeliveryDoesNotStarveItsLane: a provider that denies one message
// only, whatever the reason, must not hold the others for ever.
func TestOneDeniedDeliveryDoesNotStarveItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Rate: 100}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Device == "poison" {
				return diaphone.Outcome{Verdict: diaphone.Denied, Status: 400, Reason: "TopicDisallowed"}
			}
			return accept(d, nth)
		})
		defer w.run()()
		w.phone("poison", "eve")
		w.devices(1000, "news")
		w.send(toUser("eve"), 36000, diaphone.Always)
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		w.until(15*time.Minute, w.finished(id))
		if c := w.counts(id); c.Delivered != 1000 {
			t.Errorf("counts %+v, want 1000 delivered", c)
		}
	})
}

// TestAnswersFromBeforeThePauseDoNotEndIt: nor does trouble of the provider's own.
func TestAnswersFromBeforeThePauseDoNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 50}, func(d *diaphone.Delivery, _ int) diaphone.Outcome {
			if d.Device == "phone-0" {
				return diaphone.Outcome{Verdict: diaphone.Denied, Status: 403}
			}
			return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503}
		})
		defer w.run()()
		w.devices(400, "news")
		begun := time.Now()
		w.send(toChannel("news"), 36000, diaphone.Always)
		time.Sleep(25 * time.Second) //nolint:forbidigo // virtual time
		for _, s := range w.vendor.sendings()[50:] {
			if s.at.Sub(begun) > time.Second {
				t.Fatalf("an attempt %s after the lane was paused", s.at.Sub(begun))
			}
		}
	})
}

// A message to one person finds a slot free while a broadcast holds all that it may.
func TestABroadcastLeavesSlotsToTheUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 128}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time
			return accept(d, nth)
		})
		defer w.run()()
		w.devices(400, "news")
		w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		sent := time.Now()
		w.send(diaphone.Audience{Devices: []diaphone.DeviceID{"phone-7"}}, 3600, diaphone.Always)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		all := w.vendor.sendings()
		if n := len(all); n != 127 || all[n-1].at.Before(sent) {
			t.Errorf("%d attempts, the last %s after the broadcast began; want 126 of the broadcast and then one", n, all[n-1].at.Sub(sent))
		}
	})
}

// TestASettleOutageLongerThanTheLease: nothing is sent twice, nothing is stuck.
func TestASettleOutageLongerThanTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		s := &stuck{Outbox: w.store}
		s.on.Store(true)
		w.outbox = s
		defer w.run()()
		w.devices(10, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		time.Sleep(5 * time.Minute) //nolint:forbidigo // virtual time
		s.on.Store(false)
		w.until(time.Minute, w.finished(id))
		if c, n := w.counts(id), len(w.vendor.sendings()); c.Delivered != 10 || n != 10 {
			t.Errorf("counts %+v after %d attempts, want 10 delivered after 10", c, n)
		}
	})
}

// watched counts what the engine holds claimed, and fails claims on demand.
type watched struct {
	storage.Outbox
	claims  atomic.Int64
	claimed atomic.Int64
	settled atomic.Int64
	most    atomic.Int64
	fail    atomic.Bool
}

func (o *watched) Claim(ctx context.Context, c storage.Claim) ([]storage.Batch, time.Time, error) {
	o.claims.Add(1)
	if o.fail.Load() {
		return nil, time.Time{}, diaphone.Errorf(diaphone.Unavailable, "no")
	}
	batches, next, err := o.Outbox.Claim(ctx, c)
	for _, b := range batches {
		o.claimed.Add(int64(len(b.Items)))
	}
	if held := o.claimed.Load() - o.settled.Load(); held > o.most.Load() {
		o.most.Store(held)
	}
	return batches, next, err
}

func (o *watched) Settle(ctx context.Context, all []storage.Settlement, now time.Time) (storage.Settled, error) {
	for _, s := range all {
		o.settled.Add(int64(len(s.Results)))
	}
	return o.Outbox.Settle(ctx, all, now)
}

// TestABroadcastStaysInTheStore: a slow lane holds a second's worth, and a batch,
// however often it is woken.
func TestABroadcastStaysInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Rate: 20}, accept)
		o := &watched{Outbox: w.store}
		w.outbox = o
		defer w.run()()
		w.devices(3000, "news")
		w.send(toChannel("news"), 36000, diaphone.Always)
		for range 200 {
			w.engine.Wake([]diaphone.Lane{{App: "1", Credential: credential}}, true)
			time.Sleep(50 * time.Millisecond) //nolint:forbidigo // virtual time
		}
		if most := o.most.Load(); most > storage.MaxBatch+20 {
			t.Errorf("%d deliveries were held at once, want a batch at most", most)
		}
		if n := o.claims.Load(); n > 1000 {
			t.Errorf("%d claims in ten seconds", n)
		}
	})
}

// TestNewWorkDoesNotWaitForTheTick: a lane that runs dry looks again at once.
func TestNewWorkDoesNotWaitForTheTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Rate: 100}, accept)
		defer w.run()()
		w.devices(80, "news")
		begun := time.Now()
		first := w.send(toChannel("news"), 600, diaphone.Always)
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // virtual time
		second := w.send(toChannel("news"), 600, diaphone.Always)
		w.until(time.Minute, func() bool { return w.finished(first)() && w.finished(second)() })
		if took := time.Since(begun); took > 2200*time.Millisecond {
			t.Errorf("160 deliveries at 100 a second took %s", took)
		}
	})
}

func TestAFailingStoreIsNotAskedInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		o := &watched{Outbox: w.store}
		w.outbox = o
		defer w.run()()
		w.devices(1200, "news")
		o.fail.Store(true)
		id := w.send(toChannel("news"), 600, diaphone.Always)
		time.Sleep(20 * time.Second) //nolint:forbidigo // virtual time
		if n := o.claims.Load(); n > 60 {
			t.Errorf("%d claims in twenty seconds of failures", n)
		}
		o.fail.Store(false)
		w.until(30*time.Second, w.finished(id))
	})
}

// TestAShortTTLIsKept: to the second; nothing is sent after it.
func TestAShortTTLIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503}
		})
		defer w.run()()
		w.devices(20, "news")
		begun := time.Now()
		id := w.send(toChannel("news"), 5, diaphone.Always)
		w.until(30*time.Second, w.finished(id))
		for _, s := range w.vendor.sendings() {
			if s.at.Sub(begun) > 5*time.Second {
				t.Errorf("an attempt %s after a TTL of 5 s began", s.at.Sub(begun))
			}
		}
	})
}

// TestExpiryReachesBehindThePausedHead: a message that may not be sent any more
// is finished in time, also when an older one waits for the credential.
func TestExpiryReachesBehindThePausedHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			return diaphone.Outcome{Verdict: diaphone.Denied, Status: 403}
		})
		defer w.run()()
		w.phone("a", "ana")
		w.phone("b", "bob")
		long := w.send(toUser("ana"), 36000, diaphone.Always)
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		short := w.send(toUser("bob"), 60, diaphone.Always)
		w.until(2*time.Minute, w.finished(short))
		if c := w.counts(long); c.Pending != 1 {
			t.Errorf("counts of the older message %+v, want it pending", c)
		}
	})
}
