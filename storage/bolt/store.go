// Package bolt is the embedded engine of storage.Store: one bbolt file, one
// process. Here live the layout of the file, its durability and its repair; the
// rules of what is stored are the contract in package storage.
//
// All writes go through one goroutine, which Open starts and Close waits for. It
// takes whatever waits into one bbolt transaction, so that callers share an
// fsync, and it never waits for more to come. Reads run in the caller's goroutine.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Options of a store. The zero value is right for production.
type Options struct {
	// Logger hears of damaged records and of the end of the store. nil: nobody does.
	Logger *slog.Logger
	// Reserve is how many bytes must be free for a write that adds something
	// (Accept, a ChangeDevice that does, Check). Below it these answer StorageFull
	// while Settle, Plan and deletions go on, so that what was accepted can end
	// and make room. 0: 64 MiB, or an eighth of MaxBytes if that is less.
	Reserve int64
	// MaxBytes limits the data file. 0: the disk is the limit.
	MaxBytes int64
	// LockTimeout is how long Open waits for another process to let go of the
	// file. 0: one second.
	LockTimeout time.Duration
	// Telling says what backends are told, in the transactions that it happens in.
	Telling storage.Telling

	hooks hooks
}

// hooks let this package's tests stand where only a disk could.
type hooks struct {
	openFile   func(string, int, os.FileMode) (*os.File, error)
	migrations []migration
	ackEarly   bool          // the mutant: answer before the commit
	fullRetry  time.Duration // in place of fullRetry
	planPage   int           // in place of storage.PlanPage
	maxDead    int64         // in place of storage.MaxDeadLetters
}

const (
	defaultReserve     = 64 << 20
	defaultLockTimeout = time.Second
)

// Store is the engine. Make one with Open; all methods are safe for concurrent use.
type Store struct {
	db       *bbolt.DB
	path     string
	options  Options
	log      *slog.Logger
	damage   *quarantine
	leases   *leases
	backlog  backlog
	meter    meter
	scrubbed scrubbing

	mu     sync.RWMutex // guards closed and sending to jobs
	closed bool
	jobs   chan *job
	done   chan struct{} // the writer has ended

	failed    chan struct{} // closed at the first failed commit
	failure   atomic.Pointer[error]
	fullUntil time.Time // of the writer alone; see fullRetry
	full      error     // of the writer alone: why nothing may be added to the group at hand
}

var _ storage.Store = (*Store)(nil)

// Failed is closed when a commit has failed for another reason than a full disk.
// From then on nobody knows what the disk holds: the store has turned read-only,
// and the process should end; opening the file anew finds what was promised.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err gives the failure behind Failed, or nil.
func (s *Store) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail turns the store read-only. Only the first failure counts.
func (s *Store) fail(cause error) {
	err := fmt.Errorf("the store %s has turned read-only: %w", s.path, cause)
	if s.failure.CompareAndSwap(nil, &err) {
		s.log.Error("a write to the store has failed; it is read-only until the process starts again",
			"path", s.path, "error", cause)
		close(s.failed)
	}
}

// unavailable is what writes answer after fail.
func (s *Store) unavailable() error {
	err := s.Err()
	if err == nil {
		return nil
	}
	return &diaphone.Error{
		Code:       diaphone.Unavailable,
		Detail:     "the store is read-only after a failed write",
		Hint:       "look for a disk fault in the log, then restart diaphone",
		RetryAfter: 5 * time.Second,
		Err:        err,
	}
}

// view runs fn in a read transaction, which keeps the pages it sees from being
// used again: fn must be short and must not wait for a write. fn may run twice: if
// it meets a damaged record, that is moved away first, which may well be enough.
func (s *Store) view(ctx context.Context, fn func(t *txn) error) error {
	err := s.viewOnce(ctx, fn)
	if isDamage(err) && s.write(ctx, moves, func(*txn) error { return nil }) == nil {
		err = s.viewOnce(ctx, fn)
	}
	return err
}

func (s *Store) viewOnce(ctx context.Context, fn func(t *txn) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A page that cannot be read (the file was cut, the disk has a fault) comes as
	// a fault in the mapping, and a broken page makes bbolt panic: either is an
	// error of this call and not the end of the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the data file %s cannot be read: %v", s.path, p)
			s.log.Error("the data file is damaged", "path", s.path, "error", err)
		}
	}()
	err = s.db.View(func(tx *bbolt.Tx) error { return fn(&txn{tx: tx, damage: s.damage}) })
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return storage.ErrClosed
	}
	return err
}

// Close ends the writer after the writes that wait are committed, then the file.
// Calls after the first do nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	close(s.jobs)
	s.mu.Unlock()
	<-s.done
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the data file %s: %w", s.path, err)
	}
	return nil
}

// Check implements storage.Store.
func (s *Store) Check(ctx context.Context) error {
	probe := uint64(time.Now().UnixNano())
	write := func(t *txn) error {
		r := newRecord(10)
		r.uint(probe)
		return t.put(inMeta, key("probe"), r)
	}
	if err := s.write(ctx, adds, write); err != nil {
		return fmt.Errorf("write a probe: %w", err)
	}
	return s.view(ctx, func(t *txn) error {
		r, ok, err := t.get(inMeta, key("probe"))
		if err != nil {
			return fmt.Errorf("read the probe: %w", err)
		}
		// A Check beside this one may have written a later probe.
		if !ok || r.uint() < probe && r.err == nil {
			return fmt.Errorf("read the probe: %w: it is not what was written", errBad)
		}
		return r.err
	})
}
