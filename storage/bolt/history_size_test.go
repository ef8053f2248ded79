package bolt

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

// kept gives the bytes of keys and values that are kept of finished messages.
func kept(t *testing.T, s *Store) (bytes int) {
	t.Helper()
	err := s.view(t.Context(), func(tx *txn) error {
		bytes = 0
		for _, b := range []bucket{inMessages, inProgress, inRosters, inHistory, inFinished, inIdem, inQueue} {
			tx.scan(b, nil, nil, func(k, v []byte) bool {
				bytes += len(k) + len(v)
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// deliver claims all and settles it as APNs answers: each with an id of its own.
func deliver(t *testing.T, s *Store) {
	t.Helper()
	now := time.Now()
	batches, _, err := s.Claim(t.Context(), storage.Claim{Lane: testLane, Now: now.Add(time.Minute), N: 1 << 20, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for i := range batches {
		work := storage.Settlement{Batch: &batches[i]}
		for _, it := range batches[i].Items {
			sum := sha256.Sum256(fmt.Appendf(nil, "%d-%d", i, it.Index))
			work.Results = append(work.Results, storage.Result{Index: it.Index, State: diaphone.Delivered, Tries: 1, Attempt: &diaphone.Attempt{
				At: now.Add(time.Duration(it.Index) * time.Millisecond), Verdict: diaphone.Accepted, Status: 200,
				ProviderID: uuidText(sum[:16]), Latency: 51_234 * time.Microsecond,
			}})
		}
		if _, err := s.Settle(t.Context(), []storage.Settlement{work}, now); err != nil {
			t.Fatal(err)
		}
	}
}

// History is kept for days, so it has to be small: a message to one phone, and what a
// broadcast keeps of each phone.
func TestWhatIsKeptOfAMessage(t *testing.T) {
	s := newStore(t, Options{})
	const phones = 1000
	done := make(chan error)
	for i := range phones {
		go func() {
			d := testDevice(fmt.Sprintf("device-%09d", i))
			_, _, err := storagetest.Put(t.Context(), s, d, time.Now())
			done <- err
		}()
	}
	for range phones {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	const few = 20
	for i := range few {
		m := testMessage(diaphone.DeviceID(fmt.Sprintf("device-%09d", i)))
		m.Notification = &diaphone.Notification{Title: "Ana", Body: "See you at eight?", Data: map[string]string{"chat": "7"}, CollapseID: "chat-7"}
		if _, err := s.Accept(t.Context(), m, storage.Idempotency{Key: fmt.Sprint("key", i)}, testRoute); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, s)
	one := kept(t, s) / few
	before := kept(t, s)
	m := testMessage()
	m.To.Channels = []diaphone.ChannelName{"news"}
	mustAccept(t, s, m)
	for planned := false; !planned; {
		var err error
		if planned, _, err = s.Plan(t.Context(), testApp, m.ID, testRoute); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, s)
	each := float64(kept(t, s)-before) / phones
	t.Logf("kept of a message to one phone, with an idempotency key: %d bytes; of each phone of a broadcast: %.0f bytes", one, each)
	if one > 600 || each > 60 {
		t.Errorf("kept: %d bytes of a message to one phone, %.0f of each of a broadcast", one, each)
	}
	if _, _, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), 1<<20); err != nil {
		t.Fatal(err)
	}
	if left := kept(t, s); left != 0 {
		t.Errorf("%d bytes are left when all is swept", left)
	}
}
