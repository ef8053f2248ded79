package push

import (
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	fresh := trial{now: now, expires: now.Add(time.Hour)}
	second := fresh
	second.tries = 1
	ending := fresh
	ending.expires = now.Add(time.Second)
	old := fresh
	old.tries = maxTries - 1
	for _, c := range []struct {
		name    string
		outcome diaphone.Outcome
		trial   trial
		want    step // retryAt is checked against least and most
		least   time.Duration
		most    time.Duration
	}{
		{"accepted", diaphone.Outcome{Verdict: diaphone.Accepted}, fresh, step{state: diaphone.Delivered, tries: 1}, 0, 0},
		{"refused", diaphone.Outcome{Verdict: diaphone.Refused, Reason: "BadTopic"}, fresh, step{state: diaphone.Failed, reason: "BadTopic", tries: 1}, 0, 0},
		{"suspect deletes nothing", diaphone.Outcome{Verdict: diaphone.Suspect, Reason: "BadDeviceToken"}, fresh, step{state: diaphone.Failed, reason: "BadDeviceToken", tries: 1}, 0, 0},
		{"gone forgets", diaphone.Outcome{Verdict: diaphone.Gone, Reason: "Unregistered"}, fresh, step{state: diaphone.Failed, reason: "Unregistered", tries: 1, forget: true}, 0, 0},
		{"denied pauses", diaphone.Outcome{Verdict: diaphone.Denied, Reason: "InvalidProviderToken"}, fresh, step{state: diaphone.Pending, reason: "InvalidProviderToken", tries: 1, pause: true}, 0, time.Second},
		{"denied never exhausts its tries", diaphone.Outcome{Verdict: diaphone.Denied}, old, step{state: diaphone.Pending, tries: maxTries, pause: true}, 0, maxWindow},
		{"retry", diaphone.Outcome{Verdict: diaphone.Retry}, fresh, step{state: diaphone.Pending, tries: 1}, 0, time.Second},
		{"retry doubles", diaphone.Outcome{Verdict: diaphone.Retry}, second, step{state: diaphone.Pending, tries: 2}, 0, 2 * time.Second},
		{"retry after", diaphone.Outcome{Verdict: diaphone.Retry, RetryAfter: 7 * time.Second}, fresh, step{state: diaphone.Pending, tries: 1}, 7 * time.Second, 7 * time.Second},
		{"absurd retry after", diaphone.Outcome{Verdict: diaphone.Retry, RetryAfter: 1e6 * time.Hour}, fresh, step{state: diaphone.Pending, tries: 1}, maxAdvice, maxAdvice},
		{"retry past the TTL", diaphone.Outcome{Verdict: diaphone.Retry, RetryAfter: 2 * time.Second}, ending, step{state: diaphone.Expired, reason: "expired", tries: 1}, 2 * time.Second, 2 * time.Second},
		{"one retry too many", diaphone.Outcome{Verdict: diaphone.Retry}, old, step{state: diaphone.Failed, reason: "retries_exhausted", tries: maxTries}, 0, maxWindow},
		{"throttled device", diaphone.Outcome{Verdict: diaphone.Throttled}, fresh, step{state: diaphone.Pending, tries: 1}, 0, throttled},
		{"throttled with a time", diaphone.Outcome{Verdict: diaphone.Throttled, RetryAfter: 2 * time.Second}, second, step{state: diaphone.Pending, tries: 2}, 2 * time.Second, 2 * time.Second},
		{"throttled lane slows", diaphone.Outcome{Verdict: diaphone.Throttled, Lane: true, RetryAfter: time.Minute}, fresh, step{state: diaphone.Pending, tries: 1, slow: time.Minute}, time.Minute, time.Minute},
		{"unknown once more", diaphone.Outcome{Verdict: diaphone.Unknown}, fresh, step{state: diaphone.Pending, tries: 1}, 0, time.Second},
		{"unknown twice", diaphone.Outcome{Verdict: diaphone.Unknown}, second, step{state: diaphone.Failed, reason: "unknown_answer", tries: 2}, 0, 0},
		{"a verdict nobody knows", diaphone.Outcome{Verdict: "surprised"}, second, step{state: diaphone.Failed, reason: "unknown_answer", tries: 2}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 200 { // the jitter is random
				got := decide(c.outcome, c.trial)
				if c.most > 0 {
					if wait := got.retryAt.Sub(now); wait < c.least || wait > c.most {
						t.Fatalf("again in %s, want %s to %s", wait, c.least, c.most)
					}
				}
				got.retryAt = time.Time{}
				if got != c.want {
					t.Fatalf("got %+v, want %+v", got, c.want)
				}
			}
		})
	}
}

// TestJitterIsFull: the waits spread over the whole window, which doubles up to its cap.
func TestJitterIsFull(t *testing.T) {
	for tries, window := range map[int]time.Duration{0: time.Second, 3: 8 * time.Second, 9: 512 * time.Second, 10: maxWindow, 1000: maxWindow} {
		low, high := window, time.Duration(0)
		for range 2000 {
			d := jitter(firstWindow, tries)
			low, high = min(low, d), max(high, d)
		}
		if high >= window || low > window/20 || high < window-window/20 {
			t.Errorf("after %d tries: %s to %s, want 0 to %s", tries, low, high, window)
		}
	}
}

func TestPacerNeverExceedsItsRate(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 10, 100, 3333, 20000} {
		p := newPacer(rate)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		end := now.Add(4 * time.Second)
		var taken []time.Time
		for now.Before(end) {
			if wait := p.take(now); wait > 0 {
				now = now.Add(wait)
				continue
			}
			taken = append(taken, now)
		}
		most := 0
		for i, j := 0, 0; j < len(taken); j++ {
			for taken[j].Sub(taken[i]) >= time.Second {
				i++
			}
			most = max(most, j-i+1)
		}
		if limit := rate + max(0.5, rate/100); float64(most) > limit {
			t.Errorf("rate %v: %d in one second", rate, most)
		}
		if got, want := float64(len(taken)), 4*rate*0.96; got < want {
			t.Errorf("rate %v: %v in four seconds, want at least %v", rate, got, want)
		}
	}
}

func TestPacerHoldsAndRefunds(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newPacer(0)
	if w := p.take(now); w != 0 {
		t.Errorf("without a limit: wait %s", w)
	}
	p.hold(now.Add(time.Minute))
	p.hold(now.Add(time.Second)) // a shorter hold does not shorten a longer one
	if w := p.take(now); w != time.Minute {
		t.Errorf("held: wait %s, want 1m", w)
	}
	p = newPacer(1)
	for p.take(now) == 0 {
	}
	before := p.take(now)
	p.refund()
	if after := p.take(now); after != 0 {
		t.Errorf("after a refund: wait %s (before it %s), want none", after, before)
	}
}

func TestPauseGrowsAndProbes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p pause
	if p.wait(now, 5) != 0 {
		t.Error("a lane begins unpaused")
	}
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, maxPause, maxPause} {
		if !p.begin(now, "InvalidProviderToken") {
			t.Fatal("a failed probe begins a longer pause")
		}
		if p.begin(now, "InvalidProviderToken") {
			t.Error("attempts that were under way lengthen the pause")
		}
		if got := p.wait(now, 0); got != want {
			t.Errorf("pause of %s, want %s", got, want)
		}
		now = now.Add(want)
		if p.wait(now, 0) != 0 {
			t.Error("when the time is over one probe may go")
		}
		if p.wait(now, 1) == 0 {
			t.Error("a second attempt beside the probe")
		}
		if p.end(now.Add(-time.Millisecond)) {
			t.Error("an attempt from before the probe ends the pause")
		}
	}
	if !p.end(now) || p.end(now) || p.wait(now, 9) != 0 {
		t.Error("a success ends the pause, once")
	}
}
