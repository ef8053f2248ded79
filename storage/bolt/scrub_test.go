package bolt

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A pass verifies every record, in the time that the pace gives it, and then rests.
func TestScrubPace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	populate(t, path)
	report := inspect(t, path)
	var records, bytes int64
	for _, b := range report.Buckets {
		records, bytes = records+b.Records, bytes+b.Bytes
	}
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, path, Options{})
		defer closeStore(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		pace := ScrubPace{BytesPerSecond: 10_000, Rest: time.Hour}
		go func() { done <- s.Scrub(ctx, pace) }()
		begun := time.Now()
		whole := time.Duration(bytes) * time.Second / time.Duration(pace.BytesPerSecond)
		time.Sleep(whole / 2) //nolint:forbidigo // virtual time
		synctest.Wait()
		half := s.Stats()
		if !half.ScrubbedAt.IsZero() || half.Scrubbed == 0 || half.Scrubbed >= records {
			t.Errorf("after half the time: %d of %d records, the pass ended at %s", half.Scrubbed, records, half.ScrubbedAt)
		}
		time.Sleep(whole) //nolint:forbidigo // virtual time
		synctest.Wait()
		st := s.Stats()
		if took := st.ScrubbedAt.Sub(begun); took < whole*8/10 || took > whole*12/10 || st.Scrubbed < records || st.ScrubbedBad != 0 {
			t.Errorf("a pass took %s instead of %s, %d of %d records, %d bad", took, whole, st.Scrubbed, records, st.ScrubbedBad)
		}
		time.Sleep(pace.Rest / 2) //nolint:forbidigo // virtual time
		synctest.Wait()
		if n := s.Stats().Scrubbed; n != st.Scrubbed {
			t.Errorf("%d records were read while it rests", n-st.Scrubbed)
		}
		time.Sleep(pace.Rest) //nolint:forbidigo // virtual time
		synctest.Wait()
		if at := s.Stats().ScrubbedAt; !at.After(st.ScrubbedAt) {
			t.Error("there is no second pass")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the end: %v", err)
		}
	})
}

// A damaged record that nobody asks for is found and put aside, in every bucket.
func TestScrubFindsDamage(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base.db")
	populate(t, base)
	for b := inDevices; b < bucketEnd; b++ {
		if b == inQuarantine {
			continue
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		cloneFile(t, base, path)
		k, v := damage(t, path, b, rand.New(rand.NewPCG(31, uint64(b))))
		var log bytes.Buffer
		synctest.Test(t, func(t *testing.T) {
			s := openStore(t, path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			defer closeStore(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- s.Scrub(ctx, ScrubPace{}) }()
			time.Sleep(time.Minute) //nolint:forbidigo // virtual time
			synctest.Wait()
			if st := s.Stats(); st.ScrubbedBad != 1 || st.Quarantined != 1 || st.ScrubbedAt.IsZero() {
				t.Errorf("%s: %d bad, %d in quarantine, pass ended at %s\n%s", b, st.ScrubbedBad, st.Quarantined, st.ScrubbedAt, log.String())
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the end: %v", err)
			}
		})
		wantQuarantined(t, path, b, k, v)
		if r := inspect(t, path); r.Damage.Count > 0 || r.Quarantined != 1 {
			t.Errorf("%s: %+v", b, r)
		}
	}
}
