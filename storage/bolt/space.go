package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/diaphone-dev/diaphone"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// fullRetry is how long writes that add are refused after the disk was found
// full. To undo a failed commit, bbolt reads the whole file again for its free
// pages; without a pause, a flood of publishes would keep the disk busy with that.
const fullRetry = time.Second

// lowSpace gives the refusal for writes that add, or nil. Only the writer calls it.
func (s *Store) lowSpace() error {
	if wait := time.Until(s.fullUntil); wait > 0 {
		return s.storageFull(wait, nil)
	}
	if free, known := diskFree(s.path); known && free < s.options.Reserve {
		return s.storageFull(s.options.hooks.fullRetry, fmt.Errorf("%d bytes are free on the disk of %s, %d are kept in reserve", free, s.path, s.options.Reserve))
	}
	if limit := s.options.MaxBytes; limit > 0 {
		file, free := s.sizes()
		if used := file - free; used+s.options.Reserve > limit {
			return s.storageFull(s.options.hooks.fullRetry, fmt.Errorf("%s uses %d of %d bytes, %d are kept in reserve", s.path, used, limit, s.options.Reserve))
		}
	}
	return nil
}

// Room tells how many bytes may still be written to the disk of the store at a path,
// and below how many a store refuses what adds to it. known is false where the system
// does not say. The store may be in use, or not be there.
func Room(path string) (free, reserve int64, known bool) {
	free, known = diskFree(path)
	return free, defaultReserve, known
}

func (s *Store) storageFull(wait time.Duration, cause error) error {
	return &diaphone.Error{
		Code:       diaphone.StorageFull,
		Detail:     "the disk of the data folder is full",
		Hint:       "make room on the disk, or shorten the retention",
		RetryAfter: max(wait, time.Millisecond),
		Err:        cause,
	}
}

// noteRoom says in the log when the room is used up, and when there is some again.
func (s *Store) noteRoom(refusal error) {
	if full := refusal != nil; s.meter.full.Swap(full) == full {
		return
	}
	if refusal == nil {
		s.log.Info("there is room on the disk of the data folder again: messages and registrations are accepted")
		return
	}
	s.log.Error("the disk of the data folder is nearly full: new messages and registrations are refused, outcomes and deletions go on",
		"cause", errors.Unwrap(refusal), "hint", "make room on the disk, or shorten the retention")
}

// shed answers a commit that found the disk full: the writes of it that add are
// refused, or all of them if none did. The others are tried again.
func (s *Store) shed(group, ran []*job) []*job {
	s.fullUntil = time.Now().Add(s.options.hooks.fullRetry)
	s.noteRoom(s.storageFull(s.options.hooks.fullRetry, errors.New("the file could not grow")))
	refused := func(j *job) bool { return j.kind == adds && slices.Contains(ran, j) }
	if !slices.ContainsFunc(group, refused) {
		refused = func(j *job) bool { return slices.Contains(ran, j) }
	}
	for _, j := range group {
		if refused(j) {
			s.meter.refused.Add(1)
			j.finish(s.storageFull(s.options.hooks.fullRetry, nil))
		}
	}
	return slices.DeleteFunc(group, refused)
}

// recoverable tells whether a failed commit has left everything as it was: the
// disk was full, and the transaction before is still the one in force.
func (s *Store) recoverable(err error, txid int) bool {
	if !isFull(err) {
		return false
	}
	inForce := txid
	viewErr := s.db.View(func(tx *bbolt.Tx) error { inForce = tx.ID(); return nil })
	return viewErr == nil && inForce < txid
}

// isFull tells "no room" from every other failure of a commit. An fsync that
// fails is never taken for a full disk, whatever its code: after it nobody knows
// which pages are on the disk. bbolt gives write errors as *fs.PathError, those of
// fdatasync bare, and only the text of those from growing the file.
func isFull(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return true
	}
	grow := strings.HasPrefix(err.Error(), "file resize error: ")
	var path *fs.PathError
	write := errors.As(err, &path) && path.Op == "write"
	return slices.ContainsFunc(noRoom(), func(code syscall.Errno) bool {
		return write && errors.Is(path.Err, code) || grow && strings.Contains(err.Error(), code.Error())
	})
}

// noRoom are the system's words for it.
func noRoom() []syscall.Errno { return []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} }
