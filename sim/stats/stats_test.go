package stats_test

import (
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/sim/stats"
)

// TestMaxPerSecond looks at any second, not only at those of the clock.
func TestMaxPerSecond(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		at   []time.Duration
		want uint32
	}{
		{"none", nil, 0},
		{"one", []time.Duration{0}, 1},
		{"across a clock second", []time.Duration{900 * time.Millisecond, 1100 * time.Millisecond, 1899 * time.Millisecond}, 3},
		{"a second apart", []time.Duration{0, time.Second, 2 * time.Second}, 1},
		{"just less", []time.Duration{0, 999 * time.Millisecond, 1998 * time.Millisecond}, 2},
		{"a long pause", []time.Duration{0, 0, time.Hour}, 2},
		{"out of order", []time.Duration{10 * time.Millisecond, 0, 5 * time.Millisecond}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m stats.Meter
			for _, d := range test.at {
				m.Arrived(begin.Add(d))
			}
			if got := m.Snapshot(); got.MaxPerSecond != test.want || got.Requests != uint64(len(test.at)) {
				t.Errorf("got %d of %d, want %d", got.MaxPerSecond, got.Requests, test.want)
			}
		})
	}
}
