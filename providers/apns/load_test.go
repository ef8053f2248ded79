package apns

import (
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

// isEven fails when one push had to wait for connections to calm down: with
// net/http's own pool the worst takes 40 times the median, with ours 3 times. A
// ratio, because the machine may be busy.
func isEven(t testing.TB, f providertest.Figures) {
	t.Helper()
	if f.Worst > 20*f.Median {
		t.Errorf("one took %v, half took under %v", f.Worst, f.Median)
	}
}

// BenchmarkSend has 100 in flight against the simulator, which shares the
// machine.
func BenchmarkSend(b *testing.B) {
	lab := newLab(b, sim.Options{})
	token := lab.Device("ana", "ios")
	p := open(b, lab.config(b))
	providertest.Push(b, p, diaphone.TokenAPNs, token, providertest.Load{N: 200, InFlight: 100}) // warm
	b.ReportAllocs()
	b.ResetTimer()
	r := providertest.Push(b, p, diaphone.TokenAPNs, token, providertest.Load{N: b.N, InFlight: 100})
	b.ReportMetric(r.Rate, "pushes/s")
	b.ReportMetric(float64(r.P99.Microseconds()), "p99-µs")
}

// BenchmarkRender is what a message costs once, however many devices it goes to.
func BenchmarkRender(b *testing.B) {
	lab := newLab(b, sim.Options{})
	p := open(b, lab.config(b))
	m := providertest.Hello()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Render(m); err != nil {
			b.Fatal(err)
		}
	}
}
