package providertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
)

// Load is how much to push.
type Load struct{ N, InFlight int }

// Figures are what came of it.
type Figures struct {
	Rate               float64 // a second
	Median, P99, Worst time.Duration
}

// String is for a test's log.
func (f Figures) String() string {
	return fmt.Sprintf("%.0f pushes/s, median %v, p99 %v, worst %v", f.Rate,
		f.Median.Round(time.Millisecond), f.P99.Round(time.Millisecond), f.Worst.Round(time.Millisecond))
}

// Push sends one message N times to a token and fails the test on anything but Accepted.
func Push(t testing.TB, p providers.Provider, kind diaphone.TokenKind, token string, l Load) Figures {
	t.Helper()
	m := Hello()
	took := make([]time.Duration, l.N)
	next := make(chan int)
	begun := time.Now()
	var wg sync.WaitGroup
	for range l.InFlight {
		wg.Go(func() {
			for i := range next {
				at := time.Now()
				o := p.Send(t.Context(), Delivery(m, kind, token))
				took[i] = time.Since(at)
				if o.Verdict != diaphone.Accepted {
					t.Errorf("push %d: %+v", i, o)
				}
			}
		})
	}
	for i := range l.N {
		next <- i
	}
	close(next)
	wg.Wait()
	total := time.Since(begun)
	slices.Sort(took)
	return Figures{Rate: float64(l.N) / total.Seconds(), Median: took[l.N/2], P99: took[l.N*99/100], Worst: took[l.N-1]}
}

// Bounded is a context for what should come at once.
func Bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Bound)
	t.Cleanup(cancel)
	return ctx
}
