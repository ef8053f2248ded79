package push_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

func TestRetryAfterIsHonouredToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, func(_ *diaphone.Delivery, nth int) diaphone.Outcome {
			if nth < 4 {
				return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503, Reason: "UNAVAILABLE", RetryAfter: 20 * time.Second}
			}
			return accept(nil, nth)
		})
		defer w.run()()
		w.devices(1, "news")
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		w.until(time.Minute*2, w.finished(id))
		r := w.report(id)[0]
		if r.State != diaphone.Delivered || len(r.Attempts) != 4 {
			t.Fatalf("%s after %d attempts, want delivered after 4", r.State, len(r.Attempts))
		}
		for i := 1; i < 4; i++ {
			// 20 s after the answer, which takes 20 ms; the store rounds up to 50 ms.
			gap := r.Attempts[i].At.Sub(r.Attempts[i-1].At)
			if gap < 20*time.Second || gap > 20200*time.Millisecond {
				t.Errorf("attempt %d came %s after the one before, want 20 s", i+1, gap)
			}
		}
		sent := w.vendor.sendings()
		if sent[0].id != sent[3].id {
			t.Error("attempts of one delivery carry different ids")
		}
	})
}

func TestNothingIsSentAfterItExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			return diaphone.Outcome{Verdict: diaphone.Retry, Status: 500}
		})
		defer w.run()()
		w.devices(20, "news")
		begun := time.Now()
		id := w.send(toChannel("news"), 60, diaphone.Always)
		w.until(2*time.Minute, w.finished(id))
		if c := w.counts(id); c.Expired != 20 {
			t.Errorf("counts %+v, want 20 expired", c)
		}
		for _, s := range w.vendor.sendings() {
			if s.at.Sub(begun) > time.Minute {
				t.Errorf("an attempt %s after accepting a message with a TTL of 60 s", s.at.Sub(begun))
			}
		}
	})
}

func TestARefusedCredentialPausesTheLaneAndTouchesNoDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		w := start(t, diaphone.Credential{Concurrency: 50}, func(_ *diaphone.Delivery, nth int) diaphone.Outcome {
			if !mended.Load() {
				return diaphone.Outcome{Verdict: diaphone.Denied, Status: 403, Reason: "InvalidProviderToken"}
			}
			return accept(nil, nth)
		})
		defer w.run()()
		w.devices(300, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual time
		if n := len(w.vendor.sendings()); n > 50+10 {
			t.Errorf("%d attempts in ten minutes with a refused credential, want those in flight and a few probes", n)
		}
		if c := w.counts(id); c.Pending != 300 {
			t.Errorf("counts %+v, want all pending", c)
		}
		mended.Store(true)
		w.until(6*time.Minute, w.finished(id))
		if c := w.counts(id); c.Delivered != 300 {
			t.Errorf("counts %+v, want all delivered after the credential was mended", c)
		}
		if d, err := w.store.Device(context.Background(), "1", "phone-0"); err != nil || !d.Tokens[0].Active() {
			t.Errorf("device %+v, %v: want it untouched", d, err)
		}
	})
}

func TestADeadTokenIsForgottenUnlessRegisteredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var since time.Time
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			return diaphone.Outcome{Verdict: diaphone.Gone, Status: 410, Reason: "Unregistered", GoneSince: since}
		})
		defer w.run()()
		w.devices(1, "news")
		since = time.Now().Add(-time.Hour) // out of date: the device has registered since
		w.until(time.Minute, w.finished(w.send(toChannel("news"), 60, diaphone.Always)))
		if d, err := w.store.Device(context.Background(), "1", "phone-0"); err != nil || !d.Tokens[0].Active() {
			t.Fatalf("device %+v, %v: want its token kept", d, err)
		}
		since = time.Now()
		id := w.send(toChannel("news"), 60, diaphone.Always)
		w.until(time.Minute, w.finished(id))
		if d, err := w.store.Device(context.Background(), "1", "phone-0"); err != nil || d.Tokens[0].Active() || d.Tokens[0].GoneReason != "Unregistered" {
			t.Errorf("device %+v, %v: want its token gone", d, err)
		}
		if r := w.report(id)[0]; r.State != diaphone.Failed || r.Reason != "Unregistered" {
			t.Errorf("report %+v, want failed, Unregistered", r)
		}
		id = w.send(toChannel("news"), 60, diaphone.Always)
		w.until(time.Minute, w.finished(id))
		if n := len(w.vendor.sendings()); n != 2 {
			t.Errorf("%d attempts, want none with the token that is gone", n)
		}
	})
}

func TestNothingButGoneDeletesAToken(t *testing.T) {
	for _, v := range []diaphone.Verdict{diaphone.Refused, diaphone.Suspect, diaphone.Unknown} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
				return diaphone.Outcome{Verdict: v, Status: 400}
			})
			defer w.run()()
			w.devices(5, "news")
			id := w.send(toChannel("news"), 60, diaphone.Always)
			w.until(time.Minute, w.finished(id))
			if c := w.counts(id); c.Failed != 5 {
				t.Errorf("%s: counts %+v, want 5 failed", v, c)
			}
			for i := range 5 {
				if d, err := w.store.Device(context.Background(), "1", diaphone.DeviceID(fmt.Sprintf("phone-%d", i))); err != nil || !d.Tokens[0].Active() {
					t.Errorf("%s: device %+v, %v: want its token kept", v, d, err)
				}
			}
		})
	}
}

func TestAwaySparesWhoHasTakenItLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.taken = func(u diaphone.UserID) (how diaphone.Taking, until time.Time) {
			if u == "ana" {
				how = diaphone.TakenLive
			}
			return how, until
		}
		defer w.run()()
		w.devices(2, "news") // both of ana's
		w.put(diaphone.Device{App: "1", ID: "bobs", Platform: diaphone.Android, User: "bob", Channels: []diaphone.ChannelName{"news"},
			Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: "token-bob"}}})
		id := w.send(toChannel("news"), 60, diaphone.Away)
		w.until(time.Minute, w.finished(id))
		if c := w.counts(id); c.Suppressed != 2 || c.Delivered != 1 {
			t.Errorf("away: counts %+v, want 2 suppressed and 1 delivered", c)
		}
		id = w.send(toChannel("news"), 60, diaphone.Always)
		w.until(time.Minute, w.finished(id))
		if c := w.counts(id); c.Delivered != 3 {
			t.Errorf("always: counts %+v, want 3 delivered", c)
		}
	})
}

func TestWhatLeftTheAudienceIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.devices(3, "news")
		id := w.send(toChannel("news"), 60, diaphone.Always) // nothing runs yet
		ctx := context.Background()
		if err := w.store.DeleteDevice(ctx, "1", "phone-0"); err != nil {
			t.Fatal(err)
		}
		if err := storagetest.Leave(ctx, w.store, "1", "phone-1", "news"); err != nil {
			t.Fatal(err)
		}
		w.put(diaphone.Device{App: "1", ID: "phone-2", Platform: diaphone.Android, Channels: []diaphone.ChannelName{"news"}}) // its token is gone
		defer w.run()()
		w.until(time.Minute, w.finished(id))
		want := map[diaphone.DeviceID][2]string{
			"phone-0": {"cancelled", "device_deleted"}, "phone-1": {"cancelled", "left_audience"}, "phone-2": {"failed", "no_token"}}
		for _, r := range w.report(id) {
			if got := [2]string{string(r.State), r.Reason}; got != want[r.Device] {
				t.Errorf("%s: %v, want %v", r.Device, got, want[r.Device])
			}
		}
		if n := len(w.vendor.sendings()); n != 0 {
			t.Errorf("%d attempts, want none", n)
		}
	})
}

func TestALaneKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Rate: 100}, accept)
		defer w.run()()
		w.devices(600, "news")
		begun := time.Now()
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		w.until(time.Minute, w.finished(id))
		if took := time.Since(begun); took > 7*time.Second {
			t.Errorf("600 at 100 a second took %s", took)
		}
		sent := w.vendor.sendings()
		for i, j := 0, 0; j < len(sent); j++ {
			for sent[j].at.Sub(sent[i].at) >= time.Second {
				i++
			}
			if n := j - i + 1; n > 102 {
				t.Fatalf("%d attempts within a second", n)
			}
		}
	})
}

func TestAnUrgentMessageDoesNotWaitBehindABroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Rate: 100}, accept)
		defer w.run()()
		w.devices(1500, "news")
		w.put(diaphone.Device{App: "1", ID: "bobs", Platform: diaphone.Android, User: "bob",
			Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: "token-bob"}}})
		broadcast := w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
		begun := time.Now()
		urgent := w.send(diaphone.Audience{Users: []diaphone.UserID{"bob"}}, 3600, diaphone.Always)
		w.until(time.Second, w.finished(urgent))
		if took := time.Since(begun); took > 200*time.Millisecond {
			t.Errorf("a message to one waited %s behind a broadcast", took)
		}
		if c := w.counts(broadcast); c.Pending == 0 {
			t.Error("the broadcast was over already")
		}
		w.until(time.Minute, w.finished(broadcast))
	})
}

func TestAStopFinishesWhatIsUnderWayAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Rate: 200}, accept)
		stop := w.run()
		w.devices(800, "news")
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		stop()
		first := len(w.vendor.sendings())
		if first == 0 || first == 800 {
			t.Fatalf("%d attempts before the stop, want some", first)
		}
		w.open()
		if c := w.counts(id); c.Delivered != int64(first) {
			t.Errorf("%d attempts were made, %d are recorded", first, c.Delivered)
		}
		defer w.run()()
		w.until(time.Minute, w.finished(id))
		if n := len(w.vendor.sendings()); n != 800 {
			t.Errorf("%d attempts in all, want 800: none twice", n)
		}
	})
}

func TestHurryGivesUpAttemptsAndTheyAreMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		slow.Store(true)
		w := start(t, diaphone.Credential{}, accept)
		w.sender = &hanging{vendor: w.vendor, slow: &slow}
		w.devices(10, "news")
		stop := w.run()
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		begun := time.Now()
		w.engine.Hurry()
		stop()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("a hurried stop took %s", took)
		}
		w.open()
		if c := w.counts(id); c.Pending != 10 {
			t.Errorf("counts %+v, want all pending", c)
		}
		slow.Store(false)
		defer w.run()()
		w.until(time.Minute, w.finished(id))
		if c := w.counts(id); c.Delivered != 10 {
			t.Errorf("counts %+v, want all delivered", c)
		}
	})
}

// hanging never answers while slow.
type hanging struct {
	*vendor
	slow *atomic.Bool
}

func (h *hanging) Send(ctx context.Context, d *diaphone.Delivery) diaphone.Outcome {
	if h.slow.Load() {
		<-ctx.Done()
		return diaphone.Outcome{Verdict: diaphone.Retry, Err: ctx.Err()}
	}
	return h.vendor.Send(ctx, d)
}

// stuck is a store that records nothing while it is stuck.
type stuck struct {
	storage.Outbox
	on atomic.Bool
}

func (s *stuck) Settle(ctx context.Context, all []storage.Settlement, now time.Time) (storage.Settled, error) {
	if s.on.Load() {
		return storage.Settled{}, diaphone.Errorf(diaphone.Unavailable, "stuck")
	}
	return s.Outbox.Settle(ctx, all, now)
}

// TestAttemptsStopWhenOutcomesCannotBeRecorded: an attempt whose outcome is not
// durable counts as in flight, which is what bounds duplicates after a crash.
func TestAttemptsStopWhenOutcomesCannotBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 30}, accept)
		s := &stuck{Outbox: w.store}
		s.on.Store(true)
		w.outbox = s
		defer w.run()()
		w.devices(200, "news")
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		if n := len(w.vendor.sendings()); n != 30 {
			t.Errorf("%d attempts while nothing can be recorded, want 30", n)
		}
		s.on.Store(false)
		w.until(time.Minute, w.finished(id))
		if n := len(w.vendor.sendings()); n != 200 {
			t.Errorf("%d attempts in all, want 200: none twice", n)
		}
	})
}

func TestAWithdrawnCredentialKeepsItsDeliveriesUntilTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.devices(3, "news")
		id := w.send(toChannel("news"), 600, diaphone.Always)
		w.app.Credentials = nil
		defer w.run()()
		time.Sleep(5 * time.Minute) //nolint:forbidigo // virtual time
		if c := w.counts(id); c.Pending != 3 {
			t.Errorf("counts %+v, want 3 pending", c)
		}
		w.until(10*time.Minute, w.finished(id))
		if c := w.counts(id); c.Expired != 3 || len(w.vendor.sendings()) != 0 {
			t.Errorf("counts %+v, want 3 expired and no attempt", c)
		}
	})
}
