package fallback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tell sends one message in a numbered request, and gives how long that took.
func (b *bubble) tell(n int, message string) time.Duration {
	b.t.Helper()
	began := time.Now()
	res := b.post(context.Background(), fmt.Sprintf("one/xhr_send?t=1&n=%d", n), fmt.Sprintf("[%q]", message))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		b.t.Errorf("xhr_send: %d", res.StatusCode)
	}
	return time.Since(began)
}

func TestRequestsThatOvertakeEachOther(t *testing.T) {
	const many = 40
	inBubble(t, func(b *bubble) {
		res := b.post(b.t.Context(), "one/xhr?n=7", "")
		_ = res.Body.Close()
		var sending sync.WaitGroup
		for _, n := range rand.Perm(many) {
			sending.Go(func() { b.tell(8+n, fmt.Sprintf("#%d", n)) })
			synctest.Wait() // in the order of the permutation, and in no time
		}
		sending.Wait()
		for n := range many {
			if got := <-b.heard; got != fmt.Sprintf("#%d", n) {
				t.Fatalf("heard %s, want #%d", got, n)
			}
		}
	})
}

// Numbers that do not come, because another session of the page has them, are not
// waited for long; those of requests that listen count.
func TestNumbersThatDoNotCome(t *testing.T) {
	inBubble(t, func(b *bubble) {
		poll := func(n int) {
			res := b.post(b.t.Context(), fmt.Sprintf("one/xhr?n=%d", n), "")
			_ = res.Body.Close()
		}
		poll(1)
		for _, step := range []struct {
			n    int
			wait time.Duration
		}{
			{2, 0}, {3, 0}, {5, inOrder}, {6, 0}, {4, 0}, {0, 0}, {6, 0}, {8, inOrder / 2}, {10, inOrder / 4}, {1 << 50, inOrder / 8}, {1<<50 + 1, 0}, {8, 0}, {1 << 51, inOrder / 8},
		} {
			if took := b.tell(step.n, "#x"); took != step.wait {
				t.Errorf("request %d took %v, want %v", step.n, took, step.wait)
			}
			<-b.heard
		}
	})
	inBubble(t, func(b *bubble) {
		for _, n := range []int{1, 3, 5} { // with a message in between, or the polls would wait
			res := b.post(b.t.Context(), fmt.Sprintf("one/xhr?n=%d", n), "")
			_ = res.Body.Close()
			if took := b.tell(n+1, "echo"); took > 0 {
				t.Errorf("request %d took %v", n+1, took)
			}
		}
	})
}

// Two who both have waited in vain go in their order, whichever came first.
func TestTwoBehindAGap(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.poll("one")
		b.tell(1, "#1")
		var sending sync.WaitGroup
		for _, n := range []int{5, 4} {
			sending.Go(func() { b.tell(n, fmt.Sprintf("#%d", n)) })
			pass(inOrder / 2)
		}
		sending.Wait()
		if got := []string{<-b.heard, <-b.heard, <-b.heard}; !slices.Equal(got, []string{"#1", "#4", "#5"}) {
			t.Errorf("heard %q", got)
		}
		sending.Go(func() { b.tell(7, "#7") })
		synctest.Wait()
		if b.tell(6, "#6") != 0 || <-b.heard != "#6" {
			t.Error("the request that was waited for waits")
		}
		sending.Wait()
		if took := b.tell(9, "#9"); took != inOrder {
			t.Errorf("after a wait that was not in vain the next lasts %v", took)
		}
	})
}

func TestWhatIsKnownOfRequestsIsBounded(t *testing.T) {
	var o order
	for n := uint64(1); n < 10_000; n += 2 {
		o.mark(n)
	}
	if len(o.come) > mostCome {
		t.Errorf("%d numbers are kept", len(o.come))
	}
}

func TestNumbersOfRequests(t *testing.T) {
	for query, want := range map[string]uint64{
		"": 0, "n=1": 1, "t=5&n=12": 12, "n=x": 0, "n=-1": 0, "n=0": 0, "n=9007199254740991": 1<<53 - 1, "n=1e3": 0, "n=%zz": 0, "n=99999999999999999999": 0,
	} {
		if got := numberOf(&url.URL{RawQuery: query}); got != want {
			t.Errorf("%q: %d, want %d", query, got, want)
		}
	}
}
