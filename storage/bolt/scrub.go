package bolt

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"
)

// A record that nobody reads can be damaged for months, until no backup is left
// that has it sound. So the scrubber reads all of them, again and again, slowly.

// ScrubPace is how the scrubber goes about it.
type ScrubPace struct {
	BytesPerSecond int           // 0: 1 MiB
	Rest           time.Duration // between two passes; 0: an hour
}

const (
	scrubRate = 1 << 20
	scrubRest = time.Hour
	scrubStep = 100 * time.Millisecond // of its rate is read at a time
)

// scrubbing counts what the scrubber has done.
type scrubbing struct {
	records, bad, passed atomic.Int64 // passed: Unix ms of the end of the last full pass
}

// Scrub verifies all records, one pass after the other, until ctx ends; it gives
// nil then. Damaged ones go to quarantine. It reads little at a time and holds no
// transaction in between, so it holds up nobody.
func (s *Store) Scrub(ctx context.Context, pace ScrubPace) error {
	if pace.BytesPerSecond == 0 {
		pace.BytesPerSecond = scrubRate
	}
	if pace.Rest == 0 {
		pace.Rest = scrubRest
	}
	budget := max(1, int(float64(pace.BytesPerSecond)*scrubStep.Seconds()))
	place := scrubPlace{in: inMeta}
	for {
		read, err := s.scrub(ctx, &place, budget)
		wait := time.Duration(float64(read) / float64(pace.BytesPerSecond) * float64(time.Second))
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Error("the scrubber could not read on", "error", err)
			place, wait = scrubPlace{in: inMeta}, pace.Rest
		case err == nil && place.in == bucketEnd:
			s.scrubbed.passed.Store(time.Now().UnixMilli())
			place, wait = scrubPlace{in: inMeta}, pace.Rest
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// scrubPlace is how far a pass has come. in is bucketEnd at its end.
type scrubPlace struct {
	in   bucket
	from key // the least key that has not been read
}

// scrub verifies records from the place on, about so many bytes of them.
func (s *Store) scrub(ctx context.Context, place *scrubPlace, budget int) (read int, err error) {
	bad := 0
	err = s.viewOnce(ctx, func(t *txn) error {
		for place.in < bucketEnd && read < budget {
			next := scrubPlace{in: place.in + 1}
			if place.in != inQuarantine {
				t.scan(place.in, nil, place.from, func(k, v []byte) bool {
					if read >= budget {
						next = scrubPlace{place.in, bytes.Clone(k)}
						return false
					}
					read += len(k) + len(v)
					s.scrubbed.records.Add(1)
					if err := verify(place.in, k, v); err != nil {
						bad++
						_ = t.bad(place.in, k, v, err)
					}
					return true
				})
			}
			*place = next
		}
		return nil
	})
	if bad > 0 {
		s.scrubbed.bad.Add(int64(bad))
		// Any write begins with moving aside what has been reported.
		if err := s.write(ctx, moves, func(*txn) error { return nil }); err != nil {
			return read, err
		}
	}
	return read, err
}

// sleep waits; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
