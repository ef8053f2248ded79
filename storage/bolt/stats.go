package bolt

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone"
	"go.etcd.io/bbolt"
)

// meter counts what the writer does.
type meter struct {
	commits, jobs, bytes, nanos atomic.Int64

	full    atomic.Bool  // writes that add are refused, as of the last write
	refused atomic.Int64 // writes, for want of room
}

func (m *meter) committed(jobs, bytes int, took time.Duration) {
	m.commits.Add(1)
	m.jobs.Add(int64(jobs))
	m.bytes.Add(int64(bytes))
	m.nanos.Add(int64(took))
}

// sizes gives the bytes of the data file and how many of them are free to be
// used again; zeros once the file is closed.
func (s *Store) sizes() (file, free int64) {
	_ = s.db.View(func(tx *bbolt.Tx) error { file = tx.Size(); return nil })
	return file, int64(s.db.Stats().FreeAlloc)
}

// Stats are the store's counters since Open and its sizes now.
type Stats struct {
	Commits       int64         // transactions
	Writes        int64         // callers' writes in them: Writes/Commits is how well they share
	WrittenBytes  int64         // keys and values, before bbolt's pages
	CommitTime    time.Duration // in all
	FileBytes     int64
	FreeBytes     int64 // of the file, to be used again
	Leased        int   // batches
	Quarantined   int64 // records found damaged
	ReadOnly      bool  // a commit has failed; see Failed
	Full          bool  // the last write that adds was refused for want of room
	RefusedFull   int64 // writes that were
	OpenReadTxns  int
	WritesWaiting int
	Scrubbed      int64     // records that the scrubber has verified
	ScrubbedBad   int64     // of them damaged
	ScrubbedAt    time.Time // end of its last full pass; zero: none yet
}

// Stats gives the counters. It is cheap.
func (s *Store) Stats() Stats {
	db := s.db.Stats()
	st := Stats{
		Commits: s.meter.commits.Load(), Writes: s.meter.jobs.Load(), WrittenBytes: s.meter.bytes.Load(),
		CommitTime: time.Duration(s.meter.nanos.Load()), Leased: s.leases.count(),
		Quarantined: s.damage.count.Load(), ReadOnly: s.Err() != nil,
		OpenReadTxns: db.OpenTxN, WritesWaiting: len(s.jobs),
	}
	st.Full, st.RefusedFull = s.meter.full.Load(), s.meter.refused.Load()
	st.Scrubbed, st.ScrubbedBad = s.scrubbed.records.Load(), s.scrubbed.bad.Load()
	st.ScrubbedAt = fromMillis(s.scrubbed.passed.Load())
	st.FileBytes, st.FreeBytes = s.sizes()
	return st
}

// OldestDue gives, for every lane with queued deliveries, when its first batch is
// due: the age of the queue. It costs two look-ups a lane.
func (s *Store) OldestDue(ctx context.Context) (due map[diaphone.Lane]time.Time, err error) {
	due = map[diaphone.Lane]time.Time{}
	err = s.view(ctx, func(t *txn) error {
		c := t.bucket(inQueue).Cursor()
		for k, _ := c.First(); k != nil; {
			first, ok := parseTicket(k)
			if !ok {
				k, _ = c.Next()
				continue
			}
			at := first.due
			bulk := laneKey(first.lane).raw(classBulk)
			if k, _ := c.Seek(bulk); k != nil && bytes.HasPrefix(k, bulk) {
				if b, ok := parseTicket(k); ok {
					at = min(at, b.due)
				}
			}
			due[first.lane] = fromMillis(int64(at))
			k, _ = c.Seek(laneKey(first.lane).raw(0xff))
		}
		return nil
	})
	return due, err
}

// Lanes implements storage.Outbox.
func (s *Store) Lanes(ctx context.Context) ([]diaphone.Lane, error) {
	var lanes []diaphone.Lane
	err := s.view(ctx, func(t *txn) error {
		lanes = nil
		c := t.bucket(inQueue).Cursor()
		for k, _ := c.First(); k != nil; {
			first, ok := parseTicket(k)
			if !ok {
				k, _ = c.Next()
				continue
			}
			lanes = append(lanes, first.lane)
			k, _ = c.Seek(laneKey(first.lane).raw(0xff))
		}
		return nil
	})
	return lanes, err
}
