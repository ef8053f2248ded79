package push_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// A hundred phones are said to have wrong tokens at once: our topic or environment is
// wrong. The lane stops, and goes on where it was when that is mended.
func TestMostTokensRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		w := start(t, diaphone.Credential{Concurrency: 10}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if mended.Load() {
				return accept(d, nth)
			}
			return diaphone.Outcome{Verdict: diaphone.Suspect, Status: 400, Reason: "BadDeviceToken"}
		})
		defer w.run()()
		w.devices(100, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		w.until(time.Minute, func() bool { return w.counts(id).Failed > 0 })
		time.Sleep(25 * time.Second) //nolint:forbidigo // virtual time
		if n := len(w.vendor.sendings()); n > 40 {
			t.Errorf("%d attempts before the lane stopped", n)
		}
		time.Sleep(20 * time.Minute) //nolint:forbidigo // virtual time
		c := w.counts(id)
		if n := len(w.vendor.sendings()); n > 60 || c.Failed > 30 || c.Pending < 70 {
			t.Errorf("%d attempts in twenty minutes, %+v", n, c)
		}
		mended.Store(true)
		w.until(20*time.Minute, w.finished(id))
		if done := w.counts(id); done.Delivered != c.Pending {
			t.Errorf("%+v, want all %d that were pending delivered", done, c.Pending)
		}
		w.allKeepTheirTokens(100)
	})
}

// Who registers subscriptions of his own making does not stop the Web Push of others:
// their endpoints say what he wants.
func TestAUserCannotPauseWebPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 10, Provider: diaphone.WebPush}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if strings.HasPrefix(string(d.Device), "bogus") {
				return diaphone.Outcome{Verdict: diaphone.Suspect, Status: 403}
			}
			return accept(d, nth)
		})
		defer w.run()()
		browser := func(id, channel string) {
			w.put(diaphone.Device{App: "1", ID: diaphone.DeviceID(id), Platform: diaphone.Web, User: "ana",
				Channels: []diaphone.ChannelName{diaphone.ChannelName(channel)},
				Tokens:   []diaphone.Token{{Kind: diaphone.TokenWebPush, Value: diaphone.Secret(id)}}})
		}
		for i := range 100 {
			browser(fmt.Sprint("bogus-", i), "his")
		}
		browser("honest", "news")
		his := w.send(toChannel("his"), 36000, diaphone.Always)
		w.until(time.Minute, w.finished(his))
		begun := time.Now()
		ours := w.send(toChannel("news"), 36000, diaphone.Always)
		w.until(time.Minute, w.finished(ours))
		if took := time.Since(begun); took > 5*time.Second || w.counts(ours).Delivered != 1 {
			t.Errorf("%+v after %s", w.counts(ours), took)
		}
		if c := w.counts(his); c.Failed != 100 {
			t.Errorf("%+v", c)
		}
		w.allKeepTheirTokens(101)
	})
}

// Nor does who registers devices of his own making stop the phones of others.
func TestAnInstallationCannotPauseALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 10}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if strings.HasPrefix(string(d.Device), "bogus") {
				return diaphone.Outcome{Verdict: diaphone.Suspect, Status: 400}
			}
			return accept(d, nth)
		})
		defer w.run()()
		phone := func(id, channel string, secret diaphone.TokenHash) {
			w.put(diaphone.Device{App: "1", ID: diaphone.DeviceID(id), Platform: diaphone.Android, User: "ana", SecretHash: secret,
				Channels: []diaphone.ChannelName{diaphone.ChannelName(channel)},
				Tokens:   []diaphone.Token{{Kind: diaphone.TokenFCM, Value: diaphone.Secret(id)}}})
		}
		for i := range 100 {
			phone(fmt.Sprint("bogus-", i), "his", diaphone.HashToken(fmt.Sprint(i)))
		}
		phone("honest", "news", diaphone.TokenHash{})
		his := w.send(toChannel("his"), 36000, diaphone.Always)
		w.until(time.Minute, w.finished(his))
		begun := time.Now()
		ours := w.send(toChannel("news"), 36000, diaphone.Always)
		w.until(time.Minute, w.finished(ours))
		if took := time.Since(begun); took > 5*time.Second || w.counts(ours).Delivered != 1 {
			t.Errorf("%+v after %s", w.counts(ours), took)
		}
		w.allKeepTheirTokens(101)
	})
}

func (w *world) allKeepTheirTokens(n int) {
	w.t.Helper()
	devices, _, err := w.store.ListDevices(w.t.Context(), "1", "ana", pageOf(n))
	if err != nil || len(devices) != n {
		w.t.Fatalf("%d devices, %v", len(devices), err)
	}
	for _, d := range devices {
		if !d.Tokens[0].Active() {
			w.t.Errorf("%s has lost its token", d.ID)
		}
	}
}

// Most tokens are said to be dead at once: their deliveries fail, and beyond the first
// few no token is removed.
func TestMostTokensDeadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 10}, func(*diaphone.Delivery, int) diaphone.Outcome {
			return diaphone.Outcome{Verdict: diaphone.Gone, Status: 404, Reason: "UNREGISTERED"}
		})
		defer w.run()()
		w.devices(200, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		w.until(time.Minute, w.finished(id))
		if c := w.counts(id); c.Failed != 200 {
			t.Errorf("%+v", c)
		}
		if n := w.tokenless(200); n == 0 || n > 30 {
			t.Errorf("%d tokens were removed", n)
		}
	})
}

// The usual share of dead tokens is removed, without an alarm.
func TestAFewDeadTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 10}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Device[len(d.Device)-1] == '7' {
				return diaphone.Outcome{Verdict: diaphone.Gone, Status: 410, Reason: "Unregistered"}
			}
			return accept(d, nth)
		})
		defer w.run()()
		w.devices(400, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		w.until(time.Minute, w.finished(id))
		if n := w.tokenless(400); n != 40 {
			t.Errorf("%d tokens were removed, want 40", n)
		}
	})
}

func (w *world) tokenless(n int) (without int) {
	w.t.Helper()
	devices, _, err := w.store.ListDevices(w.t.Context(), "1", "ana", pageOf(n))
	if err != nil || len(devices) != n {
		w.t.Fatalf("%d devices, %v", len(devices), err)
	}
	for _, d := range devices {
		if !d.Tokens[0].Active() {
			without++
		}
	}
	return without
}

// While the provider fails, few attempts are made at a time; when it is well again,
// all slots are used.
func TestTheWindowFollowsTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		var flying, most atomic.Int64
		w := start(t, diaphone.Credential{Concurrency: 64}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			most.Store(max(most.Load(), flying.Add(1)))
			defer flying.Add(-1)
			time.Sleep(50 * time.Millisecond) //nolint:forbidigo // virtual time
			if well.Load() {
				return accept(d, nth)
			}
			return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503}
		})
		defer w.run()()
		w.devices(1000, "news")
		id := w.send(toChannel("news"), 36000, diaphone.Always)
		time.Sleep(30 * time.Second) //nolint:forbidigo // virtual time
		most.Store(0)
		time.Sleep(30 * time.Second) //nolint:forbidigo // virtual time
		if n := most.Load(); n > 4 {
			t.Errorf("%d attempts at a time after half a minute of 503", n)
		}
		well.Store(true)
		w.until(time.Hour, w.finished(id))
		if n := most.Load(); n < 32 {
			t.Errorf("at most %d attempts at a time when it was well again", n)
		}
		if c := w.counts(id); c.Delivered != 1000 {
			t.Errorf("%+v", c)
		}
	})
}

func pageOf(n int) storage.Page { return storage.Page{Limit: n} }
