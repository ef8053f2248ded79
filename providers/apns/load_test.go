package apns

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

// load is how much to push.
type load struct{ n, inFlight int }

// figures are what came of it.
type figures struct {
	rate               float64 // a second
	median, p99, worst time.Duration
}

// isEven fails when one push had to wait for connections to calm down: with
// net/http's own pool the worst takes 40 times the median, with ours 3 times. A
// ratio, because the machine may be busy.
func (f figures) isEven(t testing.TB) {
	t.Helper()
	if f.worst > 20*f.median {
		t.Errorf("one took %v, half took under %v", f.worst, f.median)
	}
}

func (f figures) String() string {
	return fmt.Sprintf("%.0f pushes/s, median %v, p99 %v, worst %v", f.rate, f.median.Round(time.Millisecond), f.p99.Round(time.Millisecond), f.worst.Round(time.Millisecond))
}

// push sends one message n times and fails the test on anything but Accepted.
func push(t testing.TB, p *Provider, token string, l load) figures {
	t.Helper()
	m := providertest.Hello()
	took := make([]time.Duration, l.n)
	next := make(chan int)
	begun := time.Now()
	var wg sync.WaitGroup
	for range l.inFlight {
		wg.Go(func() {
			for i := range next {
				at := time.Now()
				o := p.Send(t.Context(), providertest.Delivery(m, diaphone.TokenAPNs, token))
				took[i] = time.Since(at)
				if o.Verdict != diaphone.Accepted {
					t.Errorf("push %d: %+v", i, o)
				}
			}
		})
	}
	for i := range l.n {
		next <- i
	}
	close(next)
	wg.Wait()
	total := time.Since(begun)
	slices.Sort(took)
	return figures{rate: float64(l.n) / total.Seconds(), median: took[l.n/2], p99: took[l.n*99/100], worst: took[l.n-1]}
}

// BenchmarkSend has 100 in flight against the simulator, which shares the
// machine.
func BenchmarkSend(b *testing.B) {
	lab := newLab(b, sim.Options{})
	token := lab.Device("ana", "ios")
	p := open(b, lab.config(b))
	push(b, p, token, load{n: 200, inFlight: 100}) // warm
	b.ReportAllocs()
	b.ResetTimer()
	r := push(b, p, token, load{n: b.N, inFlight: 100})
	b.ReportMetric(r.rate, "pushes/s")
	b.ReportMetric(float64(r.p99.Microseconds()), "p99-µs")
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
