package push_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// A provider asks that one device be left alone: all that is owed to it waits,
// without attempts, and nothing of what others are owed.
func TestOneDeviceIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := start(t, diaphone.Credential{Concurrency: 10}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Device == "phone-0" && time.Since(begun) < 50*time.Second {
				return diaphone.Outcome{Verdict: diaphone.Throttled, Status: 429, Reason: "TooManyRequests", RetryAfter: time.Minute}
			}
			return accept(d, nth)
		})
		defer w.run()()
		w.devices(2, "news")
		to := func(id diaphone.DeviceID, ttl int) diaphone.MessageID {
			return w.send(diaphone.Audience{Devices: []diaphone.DeviceID{id}}, ttl, diaphone.Always)
		}
		all := []diaphone.MessageID{to("phone-0", 3600)}
		time.Sleep(5 * time.Second) //nolint:forbidigo // virtual time
		for range 20 {
			all = append(all, to("phone-0", 3600))
		}
		short, other := to("phone-0", 10), to("phone-1", 3600)
		w.until(time.Second, w.finished(other))
		if c := w.counts(other); c.Delivered != 1 {
			t.Errorf("another device: %+v", c)
		}
		w.until(20*time.Second, w.finished(short))
		if c := w.counts(short); c.Expired != 1 {
			t.Errorf("what cannot wait: %+v", c)
		}
		if n := len(w.vendor.sendings()); n != 2 {
			t.Errorf("%d attempts, want one for each device", n)
		}
		if r := w.report(all[1]); r[0].Reason != "device_throttled" || len(r[0].Attempts) != 0 || r[0].RetryAt.Sub(begun) < time.Minute {
			t.Errorf("%+v", r)
		}
		for _, m := range all {
			w.until(2*time.Minute, w.finished(m))
			if c := w.counts(m); c.Delivered != 1 {
				t.Errorf("%+v", c)
			}
		}
		if took := time.Since(begun); took > 90*time.Second {
			t.Errorf("delivered after %s", took)
		}
	})
}

// A provider that slows the whole lane slows everybody.
func TestALaneIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 1}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Device == "phone-0" && nth == 1 {
				return diaphone.Outcome{Verdict: diaphone.Throttled, Lane: true, Status: 429, RetryAfter: time.Minute}
			}
			return accept(d, nth)
		})
		defer w.run()()
		w.devices(2, "news")
		m := w.send(toChannel("news"), 3600, diaphone.Always)
		begun := time.Now()
		w.until(2*time.Minute, w.finished(m))
		if took := time.Since(begun); took < time.Minute || w.counts(m).Delivered != 2 {
			t.Errorf("%+v after %s", w.counts(m), took)
		}
		if first := w.vendor.sendings()[1].at.Sub(begun); first < time.Minute {
			t.Errorf("the lane went on after %s", first)
		}
	})
}
