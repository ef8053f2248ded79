package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter[string]
		start := time.Now()
		for i, c := range []struct {
			at   time.Duration
			key  string
			want Room
		}{
			{0, "a", Room{3, 2, 20 * time.Second, 0}},
			{0, "a", Room{3, 1, 40 * time.Second, 0}},
			{0, "a", Room{3, 0, time.Minute, 0}},
			{0, "a", Room{3, 0, time.Minute, 20 * time.Second}},
			{0, "b", Room{3, 2, 20 * time.Second, 0}},
			{19 * time.Second, "a", Room{3, 0, 41 * time.Second, time.Second}},
			{20 * time.Second, "a", Room{3, 0, time.Minute, 0}},
			{70 * time.Second, "a", Room{3, 1, 30 * time.Second, 0}}, // over a turn
			{200 * time.Second, "a", Room{3, 2, 20 * time.Second, 0}},
		} {
			time.Sleep(time.Until(start.Add(c.at))) //nolint:forbidigo // of the bubble
			if got := l.Take(c.key, 3); got != c.want {
				t.Errorf("%d: %+v, want %+v", i, got, c.want)
			}
		}
		if got := l.Take("a", 0); got != (Room{}) {
			t.Errorf("without a limit: %+v", got)
		}
	})
}

// However many strangers come, memory stays; and who was there a moment ago is known.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter[int]
		for i := range 3 * most {
			l.Take(i, 1)
		}
		if n := len(l.now) + len(l.before); n > 2*most {
			t.Errorf("%d are remembered", n)
		}
		if l.Take(3*most-1, 1).Wait == 0 {
			t.Error("the last one is forgotten")
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // of the bubble
		l.Take(-1, 1)
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble
		l.Take(-2, 1)
		if n := len(l.now) + len(l.before); n != 2 {
			t.Errorf("%d are remembered after all were idle", n)
		}
	})
}

func TestTakeAtOnce(t *testing.T) {
	var l Limiter[string]
	var taken atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 20 {
				if l.Take("a", 100).Wait == 0 {
					taken.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := taken.Load(); n < 100 || n > 130 { // a minute's worth, and what has come back meanwhile
		t.Errorf("%d were let through", n)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "invalid Prefix", "nonsense": "invalid Prefix",
	} {
		if got := Address(text).String(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
