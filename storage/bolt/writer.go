package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone/storage"
)

// Bounds of one group.
const (
	maxGroup      = 512      // closures in one transaction
	maxGroupBytes = 16 << 20 // and what they write, about
)

// kind of a write: may it be refused to keep a reserve?
type kind bool

const (
	adds  kind = true  // Accept, Check, …: refused when little room is left
	moves kind = false // Settle, deletions, …: goes on, for it ends what was accepted; see txn.mayAdd
)

// job is one caller's write on its way through the writer.
type job struct {
	run   func(*txn) error
	kind  kind
	taken atomic.Bool // by the writer, or by a caller that gave up waiting
	again bool        // it has met a damaged record, and has had its second chance
	err   error
	done  chan struct{}
}

func (j *job) finish(err error) {
	j.err = err
	close(j.done)
}

// write hands fn to the writer and waits until the transaction it ran in is on
// disk. fn may run more than once, when another one of its group has failed, and
// only the last run counts: it sets its results, it never adds to them. An error
// of fn is that caller's alone; whatever it wrote is rolled back. The context is
// heeded until the writer takes fn; from then on the outcome is worth the wait.
func (s *Store) write(ctx context.Context, k kind, fn func(*txn) error) error {
	if err := s.unavailable(); err != nil {
		return err
	}
	j := &job{run: fn, kind: k, done: make(chan struct{})}
	if err := s.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-j.done
	}
	return j.err
}

func (s *Store) enqueue(ctx context.Context, j *job) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runWriter is the writer goroutine.
func (s *Store) runWriter() {
	defer close(s.done)
	debug.SetPanicOnFault(true) // of this goroutine; see view
	for first := range s.jobs {
		group := s.admit(s.collect(first))
		for len(group) > 0 {
			group = s.commitSome(group)
		}
	}
}

// collect takes the jobs that wait, without waiting for more.
func (s *Store) collect(first *job) []*job {
	group := []*job{first}
	for len(group) < maxGroup {
		select {
		case j, open := <-s.jobs:
			if !open {
				return group
			}
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// admit keeps the jobs whose callers still wait, and refuses what the reserve
// has no room for.
func (s *Store) admit(group []*job) []*job {
	s.full = s.lowSpace()
	if s.full != nil || s.meter.full.Load() {
		s.noteRoom(s.full)
	}
	admitted := group[:0]
	for _, j := range group {
		switch {
		case !j.taken.CompareAndSwap(false, true):
		case s.full != nil && j.kind == adds:
			s.meter.refused.Add(1)
			j.finish(s.full)
		default:
			admitted = append(admitted, j)
		}
	}
	return admitted
}

// commitSome makes one attempt and answers whom it settles; it gives back the
// others, to be tried again.
func (s *Store) commitSome(group []*job) []*job {
	if err := s.unavailable(); err != nil {
		finish(group, err)
		return nil
	}
	start := time.Now()
	a := s.try(group)
	switch {
	case a.spoiler != nil && a.secondChance():
		return group
	case a.spoiler != nil:
		a.spoiler.finish(a.err)
		return slices.DeleteFunc(group, func(j *job) bool { return j == a.spoiler })
	case a.err == nil:
		s.meter.committed(len(a.ran), a.bytes, time.Since(start))
		s.damage.moved(a.moved)
		for i, j := range a.ran {
			if !s.options.hooks.ackEarly {
				j.finish(a.errs[i])
			}
		}
		return group[len(a.ran):]
	case s.recoverable(a.err, a.txid):
		return s.shed(group, a.ran)
	}
	s.fail(a.err)
	return group
}

func finish(group []*job, err error) {
	for _, j := range group {
		j.finish(err)
	}
}

// attempt is one try to run jobs in one transaction.
type attempt struct {
	ran     []*job  // in order
	errs    []error // of ran: nil, or that of one that had written nothing
	err     error   // nothing has happened, because of this
	spoiler *job    // whose fault err is; nil: the store's
	txid    int
	bytes   int
	moved   []string // out of quarantine's waiting room
}

// secondChance: the next transaction begins with moving the damaged record away,
// so what failed over it may succeed then.
func (a *attempt) secondChance() bool {
	if a.spoiler.again || !isDamage(a.err) {
		return false
	}
	a.spoiler.again = true
	return true
}

// try runs the group, as much of it as one transaction may write, and commits.
func (s *Store) try(group []*job) (a attempt) {
	tx, err := s.db.Begin(true)
	if err != nil {
		return attempt{err: fmt.Errorf("begin a transaction: %w", err)}
	}
	defer func() { _ = protect(tx.Rollback) }() // after a commit it does nothing
	a.txid = tx.ID()
	t := &txn{tx: tx, damage: s.damage, page: s.options.hooks.planPage, full: s.full}
	if err := protect(func() (err error) { a.moved, err = s.damage.move(t); return err }); err != nil {
		a.err = err
		return a
	}
	for _, j := range group {
		if t.bytes > maxGroupBytes {
			break
		}
		before := t.writes
		t.adds = j.kind == adds
		err := protect(func() error { return j.run(t) })
		j.kind = kind(t.adds)
		if err != nil && (t.writes > before || errors.As(err, new(*panicError)) || isDamage(err)) {
			a.err, a.spoiler = err, j
			return a
		}
		a.ran, a.errs = append(a.ran, j), append(a.errs, err)
	}
	a.bytes = t.bytes
	if s.options.hooks.ackEarly {
		finish(a.ran, nil)
	}
	if t.writes > 0 {
		a.err = protect(tx.Commit)
	}
	return a
}

// panicError is a panic caught: bbolt panics over pages that make no sense.
type panicError struct {
	reason any
	stack  []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", p.reason, p.stack) }

func protect(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return fn()
}
