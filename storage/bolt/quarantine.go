package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// maxDamage bounds the bad records remembered between two writes; more are
// found again when they are read again.
const maxDamage = 1024

// quarantine collects records that could not be read. A read can only report
// one; the next write transaction moves it into its own bucket, where it harms
// nobody and a salvage tool finds it.
type quarantine struct {
	log   *slog.Logger
	count atomic.Int64 // records found bad, each counted once

	mu      sync.Mutex
	pending map[string][]byte // bucket byte + key → the bad value
}

func newQuarantine(log *slog.Logger) *quarantine {
	return &quarantine{log: log, pending: map[string][]byte{}}
}

// report notes a bad record. The log names it by a fingerprint: keys hold names
// of users and devices.
func (q *quarantine) report(b bucket, k, value []byte, cause error) {
	id := string(append([]byte{byte(b)}, k...))
	q.mu.Lock()
	_, known := q.pending[id]
	known = known || len(q.pending) >= maxDamage
	if !known {
		q.pending[id] = bytes.Clone(value)
	}
	q.mu.Unlock()
	if known {
		return
	}
	q.count.Add(1)
	sum := sha256.Sum256(k)
	q.log.Error("a stored record is damaged and goes to quarantine",
		"bucket", b.String(), "key_fingerprint", hex.EncodeToString(sum[:6]), "error", cause)
}

// move puts the reported records aside, unless they have been replaced by sound
// ones meanwhile, and mends what was derived from them. The writer calls it at
// the start of a transaction, and moved with the result once that is committed.
func (q *quarantine) move(t *txn) (moved []string, err error) {
	var lost []string
	for {
		fresh := q.reported(moved)
		for id, value := range fresh {
			moved = append(moved, id)
			was, err := t.setAside(id, value)
			if err != nil {
				return nil, err
			}
			if place := derived(id); was && place != "" && !slices.Contains(lost, place) {
				lost = append(lost, place)
			}
		}
		err = nil
		for _, id := range lost {
			if err = t.mend(id); err != nil {
				break
			}
		}
		// Mending may meet more damage: that goes the same way first.
		if !isDamage(err) || len(fresh) == 0 {
			return moved, err
		}
	}
}

// derived gives the place of what must be made again once a record is gone: a
// piece of an index, the tally of a queue, or counts of receipts. Empty: nothing.
func derived(id string) string {
	switch b := bucket(id[0]); {
	case isIndex(b), b == inTallies, b == inReported:
		return id
	case b == inReceipts:
		if of, _, ok := cutMessage([]byte(id[1:])); ok {
			return string(append([]byte{byte(inReported)}, of.key()...))
		}
	case b == inNotices, b == inDead:
		if queue, ok := queueOf([]byte(id[1:])); ok {
			return string(append([]byte{byte(inNotices)}, queue...)) // one for both
		}
	}
	return ""
}

// mend makes what derived has named. Doing it twice is fine.
func (t *txn) mend(place string) error {
	b, k := bucket(place[0]), key(place[1:])
	if isIndex(b) {
		return t.rebuild(b, k)
	}
	if b == inReported {
		return t.recountReceipts(k)
	}
	return t.recount(k, b == inTallies)
}

// reported gives the bad records that are not among those moved already.
func (q *quarantine) reported(moved []string) map[string][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	fresh := maps.Clone(q.pending)
	for _, id := range moved {
		delete(fresh, id)
	}
	return fresh
}

// setAside moves one record to quarantine; false: it has changed since.
func (t *txn) setAside(id string, value []byte) (bool, error) {
	b, k := bucket(id[0]), key(id[1:])
	if !bytes.Equal(t.bucket(b).Get(k), value) {
		return false, nil
	}
	t.writes++
	if err := t.bucket(inQuarantine).Put([]byte(id), value); err != nil {
		return false, fmt.Errorf("put a damaged record into quarantine: %w", err)
	}
	return true, t.delete(b, k)
}

// moved forgets what a committed transaction has put aside.
func (q *quarantine) moved(ids []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.pending, id)
	}
}

// isDamage tells whether an error says that a stored record cannot be read.
func isDamage(err error) bool { return errors.Is(err, errBad) }
