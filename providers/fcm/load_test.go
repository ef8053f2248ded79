package fcm

import (
	"net/http"
	"sync"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

// TestFiveHundredInFlight over plain HTTP/1.1, which is what the simulator
// speaks: they are in flight together, and connections are kept.
func TestFiveHundredInFlight(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "android")
	lab.Faults(providertest.Fault{Provider: "fcm", LatencyMS: 50})
	p := open(t, lab.config(t))
	t.Log(providertest.Push(t, p, diaphone.TokenFCM, token, providertest.Load{N: 1500, InFlight: 500}))
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
	ctx := providertest.Bounded(t)
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
	providertest.Push(b, p, diaphone.TokenFCM, token, providertest.Load{N: 200, InFlight: 100}) // warm
	b.ReportAllocs()
	b.ResetTimer()
	r := providertest.Push(b, p, diaphone.TokenFCM, token, providertest.Load{N: b.N, InFlight: 100})
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
