package push_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// A clock that was set stands elsewhere when the next process begins. The clock of every
// bubble begins at the same moment; so a store that one bubble has left and another
// opens is one whose process finds that the clock was set.

// leftAt is what the clock of the first process showed when it was killed, about.
const leftAt = 2 * time.Hour

// inherit is a world on a store that may be there already.
func inherit(t *testing.T, path string, answer func(*diaphone.Delivery, int) diaphone.Outcome) *world {
	w := &world{t: t, path: path, vendor: &vendor{answer: answer},
		app: &diaphone.App{ID: "1", Credentials: []diaphone.Credential{{Name: credential, Provider: diaphone.FCM}}}}
	w.open()
	return w
}

// left is what the first process has left undone.
type left struct {
	path   string
	waits  map[diaphone.DeviceID]diaphone.MessageID // each device has one message
	before int                                      // attempts
}

// leave kills a process that has a delivery in flight, one to be tried again in two
// minutes, one like it that expires soon after, one that waits for its time in half an
// hour, and one that is done.
func leave(t *testing.T) left {
	l := left{path: filepath.Join(t.TempDir(), "store.db"), waits: map[diaphone.DeviceID]diaphone.MessageID{}}
	synctest.Test(t, func(t *testing.T) {
		w := inherit(t, l.path, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Device == "again" || d.Device == "soon over" {
				return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503, RetryAfter: 2 * time.Minute}
			}
			return accept(d, nth)
		})
		time.Sleep(leftAt) //nolint:forbidigo // virtual time
		for _, name := range []diaphone.DeviceID{"done", "again", "soon over", "in flight", "later"} {
			w.phone(name, diaphone.UserID(name))
		}
		stop := w.run()
		const day = 24 * 60 * 60
		l.waits["done"] = w.send(toUser("done"), day, diaphone.Always)
		l.waits["again"] = w.send(toUser("again"), day, diaphone.Always)
		l.waits["soon over"] = w.send(toUser("soon over"), 300, diaphone.Always)
		l.waits["later"] = w.schedule(toUser("later"), 30*time.Minute, day)
		w.until(time.Second, w.finished(l.waits["done"]))
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		stop()
		w.open()
		w.engine = nil
		l.waits["in flight"] = w.send(toUser("in flight"), day, diaphone.Always)
		lane := diaphone.Lane{App: "1", Credential: credential}
		if out, _, err := w.store.Claim(t.Context(), storage.Claim{Lane: lane, Now: time.Now(), N: 10, Lease: time.Hour}); err != nil || len(out) != 1 {
			t.Fatalf("%d batches in flight, %v", len(out), err)
		}
		l.before = len(w.vendor.sendings())
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if l.before != 3 {
		t.Fatalf("%d attempts before the kill", l.before)
	}
	return l
}

// find runs the next process for three hours, from when its clock shows so much.
func (l *left) find(t *testing.T, clock time.Duration, check func(w *world, begun time.Time)) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		time.Sleep(clock) //nolint:forbidigo // virtual time
		w := inherit(t, l.path, accept)
		stop := w.run()
		time.Sleep(3 * time.Hour) //nolint:forbidigo // virtual time
		check(w, begun)
		stop()
	})
}

// The clock is an hour ahead or behind when the next process begins, and right again
// after that one: every delivery is made once, when its time comes by the clock that
// there is, and none after its time to live.
func TestTheClockIsSetBetweenTwoProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		clock time.Duration
		sent  map[diaphone.DeviceID]time.Duration // what the clock shows then
	}{
		"an hour ahead": {leftAt + time.Hour, map[diaphone.DeviceID]time.Duration{
			"in flight": leftAt + time.Hour, "again": leftAt + time.Hour, "later": leftAt + time.Hour}},
		"an hour behind": {leftAt - time.Hour, map[diaphone.DeviceID]time.Duration{
			"in flight": leftAt, "again": leftAt + 2*time.Minute, "soon over": leftAt + 2*time.Minute, "later": leftAt + 30*time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			l := leave(t)
			l.find(t, c.clock, func(w *world, begun time.Time) {
				for _, s := range w.vendor.sendings() {
					due, is := c.sent[s.device]
					if off := s.at.Sub(begun) - due; !is || off < -time.Millisecond || off > 6*time.Second {
						w.t.Errorf("%s was sent at %s", s.device, s.at.Sub(begun))
					}
					delete(c.sent, s.device) // a second time is one too many
				}
				if len(c.sent) > 0 {
					w.t.Errorf("not sent: %v", c.sent)
				}
				for device, id := range l.waits {
					counts, want := w.counts(id), diaphone.Counts{Accepted: 1, Delivered: 1}
					if c.clock > leftAt && device == "soon over" {
						want = diaphone.Counts{Accepted: 1, Expired: 1}
					}
					if counts != want {
						w.t.Errorf("%s: %+v", device, counts)
					}
				}
			})
			l.find(t, leftAt, func(w *world, begun time.Time) {
				for _, s := range w.vendor.sendings() {
					w.t.Errorf("with the clock set right, %s was sent again at %s", s.device, s.at.Sub(begun))
				}
			})
		})
	}
}

// timed notes the times that the engine tells the store.
type timed struct {
	storage.Outbox
	mu    sync.Mutex
	times map[string]time.Time
}

func (o *timed) note(what string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.times[what] = at
}

func (o *timed) Claim(ctx context.Context, c storage.Claim) ([]storage.Batch, time.Time, error) {
	o.note("claim", c.Now)
	return o.Outbox.Claim(ctx, c)
}

func (o *timed) Settle(ctx context.Context, all []storage.Settlement, now time.Time) (storage.Settled, error) {
	o.note("settle", now)
	return o.Outbox.Settle(ctx, all, now)
}

// A clock that is set while a batch is out ends no lease: the times by which leases are
// reckoned carry the clock that nobody sets (package time, "Monotonic Clocks"). Bubbles
// have no such clock, so this runs in real time.
func TestLeasesGoByAClockThatNobodySets(t *testing.T) {
	w := start(t, diaphone.Credential{}, accept)
	o := &timed{Outbox: w.store, times: map[string]time.Time{}}
	w.outbox = o
	w.devices(3, "news")
	stop := w.run()
	id := w.send(toChannel("news"), 60, diaphone.Always)
	for end := time.Now().Add(10 * time.Second); !w.finished(id)() && time.Now().Before(end); {
		<-time.After(5 * time.Millisecond)
	}
	stop()
	if len(o.times) != 2 {
		t.Errorf("%d kinds of calls, want claims and settlements", len(o.times))
	}
	for what, at := range o.times {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s: %s is of the wall clock alone", what, at)
		}
	}
}
