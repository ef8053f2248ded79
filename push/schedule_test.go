package push_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// live notes what it was told of scheduled messages.
type live struct {
	mu                   sync.Mutex
	delivered, forgotten []diaphone.MessageID
	at                   []time.Time // of delivered
}

func (w *world) announce(m *diaphone.Message) (deliver, forget func()) {
	l := &w.live
	note := func(list *[]diaphone.MessageID) {
		l.mu.Lock()
		defer l.mu.Unlock()
		*list = append(*list, m.ID)
	}
	return func() {
		note(&l.delivered)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.at = append(l.at, time.Now())
	}, func() { note(&l.forgotten) }
}

func (l *live) heard() (delivered []diaphone.MessageID, at []time.Time, forgotten int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.delivered), slices.Clone(l.at), len(l.forgotten)
}

// schedule accepts a message that is due after a while.
func (w *world) schedule(to diaphone.Audience, after time.Duration, ttl int) diaphone.MessageID {
	w.t.Helper()
	m := &diaphone.Message{ID: diaphone.NewMessageID(time.Now()), App: "1", To: to, When: diaphone.Always, SendAt: time.Now().Add(after),
		Notification: &diaphone.Notification{Body: "hello", TTL: &ttl}}
	m.Schedule(time.Now())
	if _, err := w.store.Accept(context.Background(), m, storage.Idempotency{}, w.app.Route); err != nil {
		w.t.Fatal(err)
	}
	if w.engine != nil {
		w.engine.Wake(nil, true)
	}
	return m.ID
}

func TestScheduledMessagesGoOutInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.devices(1200, "news")
		defer w.run()()
		begun := time.Now()
		late := w.schedule(toChannel("news"), 36*time.Hour, 60)
		soon := w.schedule(toChannel("news"), 1700*time.Millisecond, 60)
		w.until(2*time.Second, func() bool { return len(w.vendor.sendings()) > 0 })
		if took := w.vendor.sendings()[0].at.Sub(begun); took < 1700*time.Millisecond || took > 1800*time.Millisecond {
			t.Errorf("sent after %s", took)
		}
		w.until(time.Minute, w.finished(soon))
		time.Sleep(time.Until(begun.Add(36*time.Hour - time.Second))) //nolint:forbidigo // virtual time
		if n := len(w.vendor.sendings()); n != 1200 {
			t.Errorf("%d sent before the second is due", n)
		}
		w.until(10*time.Second, func() bool { return w.counts(late).Delivered == 1200 })
		ids, at, forgotten := w.live.heard()
		if !slices.Equal(ids, []diaphone.MessageID{soon, late}) || forgotten != 0 || at[1].Sub(begun) < 36*time.Hour {
			t.Errorf("live: %v at %v, %d forgotten", ids, at, forgotten)
		}
	})
}

// Many that are due in the same second go out then, each once.
func TestManyDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.devices(1, "news")
		defer w.run()()
		var ids []diaphone.MessageID
		for range 250 {
			ids = append(ids, w.schedule(toChannel("news"), time.Minute, 60))
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		w.until(2*time.Second, func() bool { return len(w.vendor.sendings()) == 250 })
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		heard, _, _ := w.live.heard()
		slices.Sort(heard)
		slices.Sort(ids)
		if !slices.Equal(heard, ids) || len(w.vendor.sendings()) != 250 {
			t.Errorf("%d heard live, %d sent", len(heard), len(w.vendor.sendings()))
		}
	})
}

// What was due while nobody ran goes out late, within its time to live; a restart sends
// nothing twice.
func TestScheduledWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.devices(1, "news")
		stop := w.run()
		inTime, over := w.schedule(toChannel("news"), time.Hour, 7200), w.schedule(toChannel("news"), time.Hour, 60)
		time.Sleep(30 * time.Minute) //nolint:forbidigo // virtual time
		stop()
		time.Sleep(90 * time.Minute) //nolint:forbidigo // virtual time
		w.open()
		stop = w.run()
		w.until(10*time.Second, w.finished(inTime))
		w.until(10*time.Second, w.finished(over))
		if a, b := w.counts(inTime), w.counts(over); a.Delivered != 1 || b.Expired != 1 {
			t.Errorf("in time %+v, over %+v", a, b)
		}
		stop()
		w.open()
		defer w.run()()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		if n := len(w.vendor.sendings()); n != 1 {
			t.Errorf("%d sent", n)
		}
	})
}

// unstarted is a store that starts nothing while it is stuck.
type unstarted struct {
	storage.Outbox
	mu    sync.Mutex
	until time.Time
}

func (s *unstarted) Start(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, route storage.Route) (storage.Accepted, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return storage.Accepted{}, false, diaphone.Errorf(diaphone.Unavailable, "stuck")
	}
	return s.Outbox.Start(ctx, app, id, route)
}

// While the store fails, nothing is sent and nobody is told; then it goes out once.
func TestScheduledWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		w.outbox = &unstarted{Outbox: w.store, until: time.Now().Add(time.Minute)}
		w.devices(1, "news")
		defer w.run()()
		id := w.schedule(toChannel("news"), 10*time.Second, 3600)
		time.Sleep(59 * time.Second) //nolint:forbidigo // virtual time
		heard, _, forgotten := w.live.heard()
		if len(heard) > 0 || forgotten < 5 || forgotten > 20 || len(w.vendor.sendings()) > 0 {
			t.Errorf("%d told, %d taken back, %d sent", len(heard), forgotten, len(w.vendor.sendings()))
		}
		w.until(10*time.Second, w.finished(id))
		if heard, _, _ := w.live.heard(); len(heard) != 1 {
			t.Errorf("%d told", len(heard))
		}
	})
}
