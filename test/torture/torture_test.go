package torture

import (
	"slices"
	"testing"
	"time"
)

const heads = "scene|accepted|refused, unknown|deliveries|lost|duplicates (bound)|settled in"

// most is how many faults of a ledger are told.
const most = 12

// TestTorture plays the scenes against the gateway as it is. Nothing may be wrong.
func TestTorture(t *testing.T) {
	var b table
	t.Cleanup(func() { b.print(t, heads) })
	for _, sc := range slices.Concat(kills(), ills(), disks()) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			v := play(t, &sc)
			b.add(sc.name, v)
			for _, f := range v.faults[:min(len(v.faults), most)] {
				t.Error(f)
			}
			if n := len(v.faults) - most; n > 0 {
				t.Errorf("and %d more", n)
			}
			if v.accepted == 0 || v.deliveries == 0 {
				t.Error("nothing was accepted, so nothing is proven")
			}
		})
	}
}

// light is the load of scenes that wait more than they work.
func light() load {
	l := load{phones: 60, late: 30, rooms: 8, publishers: 4, pace: 40 * time.Millisecond, listeners: 2}
	if *whole {
		l.pace = 20 * time.Millisecond
	}
	return l
}

// heavy is the load of the kills. A broadcast is more than one page of a plan.
func heavy() load {
	if !*whole {
		return load{phones: 240, late: 60, rooms: 8, publishers: 8, pace: 4 * time.Millisecond, listeners: 4, broadcast: 20}
	}
	return load{phones: 1500, late: 300, rooms: 40, publishers: 16, pace: 8 * time.Millisecond, listeners: 8, broadcast: 100}
}
