package fcm

import (
	"fmt"
	"net/http"
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

func (f figures) String() string {
	return fmt.Sprintf("%.0f pushes/s, median %v, p99 %v, worst %v", f.rate,
		f.median.Round(time.Millisecond), f.p99.Round(time.Millisecond), f.worst.Round(time.Millisecond))
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
				o := p.Send(t.Context(), providertest.Delivery(m, diaphone.TokenFCM, token))
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

// TestFiveHundredInFlight over plain HTTP/1.1, which is what the simulator
// speaks: they are in flight together, and connections are kept.
func TestFiveHundredInFlight(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "android")
	lab.Faults(providertest.Fault{Provider: "fcm", LatencyMS: 50})
	p := open(t, lab.config(t))
	t.Log(push(t, p, token, load{n: 1500, inFlight: 500}))
	if s := lab.Stats("fcm"); s.Accepted != 1500 || s.Connections > 600 {
		t.Errorf("%+v", s)
	}
}

// TestFiveHundredInFlightOverTLS: HTTP/2, all at once, and no more connections
// than allowed although each carries few streams. The vendor answers nobody
// before everybody has arrived.
func TestFiveHundredInFlightOverTLS(t *testing.T) {
	const all = 500
	var mu sync.Mutex
	connections, arrived, major, everybody := map[string]bool{}, 0, 0, make(chan struct{})
	v := providertest.NewVendor(t, true)
	accept := subjectOf(true).Accept
	v.Answer(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr], major = true, r.ProtoMajor
		if arrived++; arrived == all {
			close(everybody)
		}
		mu.Unlock()
		select {
		case <-everybody:
			accept(w, r)
		case <-r.Context().Done():
		}
	})
	p := open(t, Config{ServiceAccount: accountFor(v.URL + "/token"), Endpoint: v.URL + "/v1", RootCAs: v.Roots})
	ctx := bounded(t)
	m := providertest.Hello()
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() {
			if o := p.Send(ctx, providertest.Delivery(m, diaphone.TokenFCM, subjectOf(true).Token(nil))); o.Verdict != diaphone.Accepted {
				t.Errorf("%+v", o)
			}
		})
	}
	wg.Wait()
	t.Logf("%d connections", len(connections))
	if major != 2 || len(connections) > defaultConnections {
		t.Errorf("HTTP/%d, %d connections", major, len(connections))
	}
}

// BenchmarkSend has 100 in flight against the simulator, which shares the
// machine.
func BenchmarkSend(b *testing.B) {
	lab := newLab(b, sim.Options{})
	token := lab.Device("ana", "android")
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
