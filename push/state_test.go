package push_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// A lane tells how it fares: well, refused, slowed.
func TestLaneState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := diaphone.Outcome{Verdict: diaphone.Accepted, Status: 200}
		w := start(t, diaphone.Credential{Concurrency: 7}, func(*diaphone.Delivery, int) diaphone.Outcome { return answer })
		lane := diaphone.Lane{App: "1", Credential: credential}
		stop := w.run()
		w.devices(3, "news")
		s, ok := w.engine.LaneState(t.Context(), lane)
		if !ok || s.Paused || s.Undeclared || s.Guarded || !s.SlowUntil.IsZero() || s.Slots != 7 || s.Window != 7 || s.Held+s.InFlight > 0 {
			t.Errorf("at rest: %+v, %t", s, ok)
		}
		answer = diaphone.Outcome{Verdict: diaphone.Denied, Status: 403, Reason: "InvalidProviderToken"}
		w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(40 * time.Second) //nolint:forbidigo // virtual time
		since := time.Now().Add(-40 * time.Second)
		s, _ = w.engine.LaneState(t.Context(), lane)
		if !s.Paused || s.Mistrust || s.Reason != "InvalidProviderToken" || s.Since.Sub(since) > time.Second || !s.ProbeAt.After(time.Now()) {
			t.Errorf("refused: %+v", s)
		}
		answer = diaphone.Outcome{Verdict: diaphone.Throttled, Status: 429, Reason: "QUOTA_EXCEEDED", Lane: true, RetryAfter: time.Minute}
		w.until(10*time.Minute, func() bool { s, _ = w.engine.LaneState(t.Context(), lane); return !s.SlowUntil.IsZero() })
		if time.Until(s.SlowUntil) > time.Minute {
			t.Errorf("slowed: %+v", s)
		}
		if _, ok := w.engine.LaneState(t.Context(), diaphone.Lane{App: "1", Credential: "other"}); ok {
			t.Error("a lane that nobody has is known")
		}
		stop()
		if _, ok := w.engine.LaneState(context.Background(), lane); ok {
			t.Error("a lane that has stopped answers")
		}
	})
}
