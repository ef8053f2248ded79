package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/diaphone-dev/diaphone/storage"
)

func putProbe(t *txn, name string) error {
	r := newRecord(1)
	r.uint(1)
	return t.put(inMeta, key(name), r)
}

func hasProbe(t *testing.T, s *Store, name string) (there bool) {
	t.Helper()
	err := s.view(context.Background(), func(t *txn) (err error) {
		_, there, err = t.get(inMeta, key(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// stall holds the writer inside a transaction until the function given back is
// called, so that what comes meanwhile makes one group.
func stall(t *testing.T, s *Store) (release func()) {
	t.Helper()
	entered, leave, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.write(context.Background(), moves, func(*txn) error {
			close(entered)
			<-leave
			return nil
		})
	}()
	<-entered
	return func() {
		close(leave)
		if err := <-ended; err != nil {
			t.Errorf("stalled write: %v", err)
		}
	}
}

var errTest = errors.New("refused by the test")

// In one group: writes that succeed, that fail before and after they wrote, and
// that panic. Each gets its own answer and leaves its own trace.
func TestOneGroup(t *testing.T) {
	s := newStore(t, Options{})
	release := stall(t, s)
	const each = 20
	before := s.Stats().Commits
	errs := make([]error, 4*each)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = s.write(context.Background(), moves, func(t *txn) error {
				if i%4 == 1 {
					return errTest
				}
				if err := putProbe(t, fmt.Sprint("probe", i)); err != nil {
					return err
				}
				switch i % 4 {
				case 2:
					return errTest
				case 3:
					panic("by the test")
				}
				return nil
			})
		})
	}
	for s.Stats().WritesWaiting < len(errs) { // bounded by the test's own time-out
		runtime.Gosched()
	}
	release()
	all.Wait()
	for i, err := range errs {
		var p *panicError
		ok := map[int]bool{0: err == nil, 1: errors.Is(err, errTest), 2: errors.Is(err, errTest), 3: errors.As(err, &p)}[i%4]
		if !ok {
			t.Errorf("write %d: %v", i, err)
		}
		if there := hasProbe(t, s, fmt.Sprint("probe", i)); there != (i%4 == 0) {
			t.Errorf("write %d has left a trace: %v", i, there)
		}
	}
	if n := s.Stats().Commits - before; n > 3 {
		t.Errorf("%d commits for one group", n)
	}
}

// A caller that gives up waiting is believed: its write does not happen.
func TestGivenUpWaiting(t *testing.T) {
	s := newStore(t, Options{})
	release := stall(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- s.write(ctx, moves, func(t *txn) error { return putProbe(t, "given-up") })
	}()
	for s.Stats().WritesWaiting < 1 { // bounded by the test's own time-out
		runtime.Gosched()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	if hasProbe(t, s, "given-up") {
		t.Error("the write has happened")
	}
}

// A group that writes too much for one transaction is committed in several.
func TestLargeGroup(t *testing.T) {
	s := newStore(t, Options{})
	release := stall(t, s)
	before := s.Stats().Commits
	const writes = 20
	var all sync.WaitGroup
	for i := range writes {
		all.Go(func() {
			err := s.write(context.Background(), moves, func(t *txn) error {
				r := newRecord(0)
				r.blob(make([]byte, maxGroupBytes/4))
				return t.put(inMeta, key(fmt.Sprint("large", i)), r)
			})
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	for s.Stats().WritesWaiting < writes { // bounded by the test's own time-out
		runtime.Gosched()
	}
	release()
	all.Wait()
	if n := s.Stats().Commits - before; n < 4 {
		t.Errorf("%d commits", n)
	}
	for i := range writes {
		if !hasProbe(t, s, fmt.Sprint("large", i)) {
			t.Errorf("write %d is missing", i)
		}
	}
}

func TestWriteWithoutWritingCommitsNothing(t *testing.T) {
	s := newStore(t, Options{})
	mustPut(t, s, testDevice("d"))
	if _, err := s.Accept(t.Context(), testMessage("d"), storage.Idempotency{Key: "k"}, testRoute); err != nil {
		t.Fatal(err)
	}
	before := pagesWritten(s)
	a, err := s.Accept(t.Context(), testMessage("d"), storage.Idempotency{Key: "k"}, testRoute)
	if err != nil || !a.Replayed {
		t.Fatalf("replay: %+v, %v", a, err)
	}
	if after := pagesWritten(s); after != before {
		t.Errorf("a replay has written %d pages", after-before)
	}
}

func pagesWritten(s *Store) int64 {
	stats := s.db.Stats()
	return stats.TxStats.GetWrite()
}
