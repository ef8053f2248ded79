package torture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// most is how many faults of a ledger are told.
const most = 12

// TestTorture plays the scenes against the gateway as it is, in which nothing may be
// wrong, and against gateways with a fault planted, which must be found.
func TestTorture(t *testing.T) {
	var b table
	t.Cleanup(func() { b.print(t) })
	for _, sc := range slices.Concat(kills(), ills(), disks()) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			sc.hold(t, &b)
		})
	}
	if !*whole {
		return
	}
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.plant(t, &b)
		})
	}
}

// hold plays the scene. The judge must find nothing.
func (sc *scene) hold(t *testing.T, b *table) {
	t.Helper()
	v := play(t, sc)
	remark := "kept"
	if n := len(v.faults); n > 0 {
		remark = fmt.Sprintf("BROKEN: %d faults", n)
		t.Errorf("%d faults, such as\n%s", n, strings.Join(v.faults[:min(n, most)], "\n"))
	}
	b.add(sc.name, v, remark)
	if v.accepted == 0 || v.deliveries == 0 || v.heard == 0 {
		t.Errorf("nothing was accepted or heard, so nothing is proven: %+v", v)
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
		return load{phones: 240, late: 60, rooms: 8, publishers: 8, pace: 4 * time.Millisecond, listeners: 4, broadcast: 10}
	}
	return load{phones: 1200, late: 200, rooms: 60, publishers: 12, pace: 25 * time.Millisecond, listeners: 8, broadcast: 20}
}
