// Package bench measures whole gateways: built binaries, simulators in a
// process of their own, figures out of the API and the process's own CPU time.
// `make bench` prints them; none of them is a test.
package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// rounds of each measurement; the median is reported.
const rounds = 3

// series is one figure of a measurement: a value of each round, and what it should
// reach.
type series struct {
	name, unit, target string
	values             []float64
}

// table is printed when all of its measurements are over.
type table struct{ rows strings.Builder }

func (t *table) add(b *testing.B, measurement string, all ...series) {
	b.Helper()
	for _, s := range all {
		v := median(s.values)
		b.ReportMetric(v, s.unit)
		fmt.Fprintf(&t.rows, "| %s | %s | %s %s | %s to %s | %s |\n", measurement, s.name,
			number(v), s.unit, number(slices.Min(s.values)), number(slices.Max(s.values)), s.target)
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

func (t *table) print() {
	fmt.Fprintf(os.Stdout, "\n| measurement | figure | median | runs | target |\n|---|---|--:|---|---|\n%s\n", &t.rows)
}

// number writes four digits at least, and never an exponent.
func number(v float64) string {
	if v >= 1000 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// percentile gives the value that so many percent of the sorted ones do not exceed.
func percentile(sorted []time.Duration, percent int) float64 {
	return milliseconds(sorted[min(len(sorted)*percent/100, len(sorted)-1)])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// each is processor time divided among so many, in µs.
func each(cpu time.Duration, n int) float64 { return float64(cpu.Microseconds()) / float64(n) }
