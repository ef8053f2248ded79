package bolt

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// A batch whose settle is on its way to the disk is not handed out again, though
// its lease has run out meanwhile: it would be sent twice for nothing.
func TestNoClaimDuringSettle(t *testing.T) {
	s := newStore(t, Options{})
	mustPut(t, s, testDevice("d"))
	mustAccept(t, s, testMessage("d"))
	now := time.Now().Add(time.Second)
	claim := storage.Claim{Lane: testLane, Now: now, N: 1, Lease: time.Minute}
	batches, _, err := s.Claim(t.Context(), claim)
	if err != nil || len(batches) != 1 {
		t.Fatalf("claim: %v, %v", batches, err)
	}
	release := stall(t, s)
	ended := make(chan error)
	go func() {
		settled, err := s.Settle(t.Context(), delivered(batches), now)
		if err == nil && len(settled.Finished) != 1 {
			err = fmt.Errorf("settled %+v", settled)
		}
		ended <- err
	}()
	for s.Stats().WritesWaiting < 1 { // bounded by the test's own time-out
		runtime.Gosched()
	}
	claim.Now = now.Add(time.Hour)
	again, next, err := s.Claim(t.Context(), claim)
	if err != nil || len(again) > 0 || !next.After(claim.Now) {
		t.Errorf("claim during the settle: %v, next %v, %v", again, next, err)
	}
	release()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if again, next, err := s.Claim(t.Context(), claim); err != nil || len(again) > 0 || !next.IsZero() {
		t.Errorf("claim after the settle: %v, next %v, %v", again, next, err)
	}
}

// A sweep of a message with a long history holds the writer for a bounded number
// of records at a time.
func TestSweepInSteps(t *testing.T) {
	s := newStore(t, Options{hooks: hooks{planPage: 1}})
	const devices = sweepRecords
	m := testMessage()
	m.To.Channels = []diaphone.ChannelName{"news"}
	for i := range devices {
		mustPut(t, s, testDevice(fmt.Sprint("d", i)))
	}
	mustAccept(t, s, m)
	for done := false; !done; {
		var err error
		if done, _, err = s.Plan(t.Context(), testApp, m.ID, testRoute); err != nil {
			t.Fatal(err)
		}
	}
	mustSettle(t, s)
	steps := 0
	for left := true; left; steps++ {
		err := s.write(t.Context(), moves, func(tx *txn) (err error) {
			_, left, err = tx.sweep(time.Now().Add(time.Minute), 10)
			if tx.writes > sweepRecords+4 {
				t.Errorf("one step has written %d times", tx.writes)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if steps < 3 {
		t.Errorf("%d steps for %d records", steps, 2*devices)
	}
	if _, err := s.Message(t.Context(), testApp, m.ID); diaphone.CodeOf(err) != diaphone.NotFound {
		t.Errorf("the message: %v", err)
	}
}

// The age of a queue is that of its oldest batch, urgent or not.
func TestOldestDue(t *testing.T) {
	s := newStore(t, Options{})
	mustPut(t, s, testDevice("d"))
	first := testMessage("d")
	first.AcceptedAt = first.AcceptedAt.Add(-time.Hour)
	bulk := testMessage()
	bulk.To.Channels, bulk.AcceptedAt = []diaphone.ChannelName{"news"}, first.AcceptedAt.Add(-time.Hour)
	for _, m := range []*diaphone.Message{testMessage("d"), first, bulk} {
		mustAccept(t, s, m)
	}
	due, err := s.OldestDue(t.Context())
	if want := stamp(bulk.AcceptedAt); err != nil || len(due) != 1 || !due[testLane].Equal(want) {
		t.Errorf("got %v, %v, want %v", due, err, want)
	}
}
