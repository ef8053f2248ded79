package gcra

import (
	"testing"
	"testing/quick"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestTake(t *testing.T) {
	r := PerSecond(10, 3)
	var due time.Time
	for _, c := range []struct {
		at   time.Duration
		n    int
		wait time.Duration
		left int
	}{
		{0, 1, 0, 2},
		{0, 2, 0, 0},
		{0, 1, 100 * time.Millisecond, 0},
		{99 * time.Millisecond, 1, time.Millisecond, 0},
		{100 * time.Millisecond, 1, 0, 0},
		{200 * time.Millisecond, 2, 100 * time.Millisecond, 1},
		{200 * time.Millisecond, 1, 0, 0},
		{time.Hour, 4, 100 * time.Millisecond, 3}, // more than ever fit at once
		{time.Hour, 3, 0, 0},
	} {
		now := start.Add(c.at)
		var wait time.Duration
		due, wait = r.Take(due, now, c.n)
		if left := r.Left(due, now); wait != c.wait || left != c.left {
			t.Errorf("%d at %s: wait %s, %d left; want %s and %d", c.n, c.at, wait, left, c.wait, c.left)
		}
	}
}

func TestNoLimit(t *testing.T) {
	for _, r := range []Rate{{}, PerSecond(0, 5), PerSecond(-1, 5)} {
		if next, wait := r.Take(start, start, 1_000_000); wait != 0 || next != start {
			t.Errorf("%+v: wait %s until %s", r, wait, next)
		}
	}
}

// However it is asked, never more than the rate and one burst come through, and
// who waits as long as he was told is let through.
func TestNeverMoreThanTheRate(t *testing.T) {
	check := func(perSecond, burst uint8, gaps []uint16) bool {
		n, b := int(perSecond)+1, int(burst%20)+1
		r := PerSecond(n, b)
		var due time.Time
		now, taken := start, 0
		for _, gap := range gaps {
			now = now.Add(time.Duration(gap) * time.Microsecond)
			next, wait := r.Take(due, now, 1)
			if wait > 0 {
				if _, again := r.Take(due, now.Add(wait), 1); again != 0 || next != due {
					return false
				}
				continue
			}
			due = next
			taken++
		}
		return taken <= b+int(now.Sub(start)/r.Interval)
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}
