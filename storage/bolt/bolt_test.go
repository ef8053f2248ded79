package bolt

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
	"go.etcd.io/bbolt"
)

// opener is storagetest.Open for this engine. After every test the file must be
// sound in bbolt's own eyes.
func opener(o Options) storagetest.Open {
	return func(t *testing.T) (storage.Store, func() storage.Store) {
		path := filepath.Join(t.TempDir(), "diaphone.db")
		s := openStore(t, path, o)
		t.Cleanup(func() {
			closeStore(t, s)
			checkFile(t, path)
		})
		return s, func() storage.Store {
			closeStore(t, s)
			s = openStore(t, path, o)
			return s
		}
	}
}

func openStore(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// newStore gives an empty store that is closed at the end.
func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "diaphone.db"), o)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// raw opens the file of a closed store with bbolt itself.
func raw(t testing.TB, path string, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatalf("open with bbolt: %v", err)
	}
	if err := db.Update(fn); err != nil {
		t.Fatalf("change with bbolt: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("close bbolt: %v", err)
	}
}

func checkFile(t testing.TB, path string) {
	t.Helper()
	raw(t, path, func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt check: %v", err)
		}
		return nil
	})
}

func TestConformance(t *testing.T) { storagetest.Run(t, opener(Options{})) }

func TestTelling(t *testing.T) {
	storagetest.Telling(t, func(t *testing.T, tell storage.Telling) storage.Store { return newStore(t, Options{Telling: tell}) })
}

// Small pages make the model plan in many steps, with changes in between.
func TestModelWithSmallPages(t *testing.T) {
	for _, devices := range []int{1, 2, 3} {
		storagetest.Model(t, opener(Options{hooks: hooks{planPage: devices}}))
	}
}

// What the tests of this package send and to whom.

const testApp = diaphone.AppID("1")

var testLane = diaphone.Lane{App: testApp, Credential: "fcm"}

func testRoute(*diaphone.Message, *diaphone.Device) (diaphone.Lane, diaphone.TokenKind, string) {
	return testLane, diaphone.TokenFCM, ""
}

func testDevice(id string) diaphone.Device {
	return diaphone.Device{
		App: testApp, ID: diaphone.DeviceID(id), Platform: diaphone.Android, User: "ana",
		Channels: []diaphone.ChannelName{"news"},
		Tokens:   []diaphone.Token{{Kind: diaphone.TokenFCM, Value: diaphone.Secret("token-of-" + id)}},
	}
}

func testMessage(devices ...diaphone.DeviceID) *diaphone.Message {
	now := time.Now()
	return &diaphone.Message{
		ID: diaphone.NewMessageID(now), App: testApp, To: diaphone.Audience{Devices: devices}, When: diaphone.Always,
		Notification: &diaphone.Notification{Title: "hello"}, AcceptedAt: now, Expires: now.Add(time.Hour),
	}
}

func mustPut(t testing.TB, s *Store, d diaphone.Device) {
	t.Helper()
	if _, _, err := storagetest.Put(context.Background(), s, d, time.Now()); err != nil {
		t.Fatalf("put device: %v", err)
	}
}

func mustAccept(t testing.TB, s *Store, m *diaphone.Message) {
	t.Helper()
	if _, err := s.Accept(context.Background(), m, storage.Idempotency{}, testRoute); err != nil {
		t.Fatalf("accept: %v", err)
	}
}

// mustSettle claims and delivers everything.
func mustSettle(t testing.TB, s *Store) {
	t.Helper()
	batches, _, err := s.Claim(context.Background(), storage.Claim{Lane: testLane, Now: time.Now().Add(time.Second), N: 1 << 20, Lease: time.Minute})
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if _, err := s.Settle(context.Background(), delivered(batches), time.Now()); err != nil {
		t.Fatalf("settle: %v", err)
	}
}

// delivered gives every delivery of the batches a good end.
func delivered(batches []storage.Batch) []storage.Settlement {
	work := make([]storage.Settlement, len(batches))
	for i := range batches {
		work[i].Batch = &batches[i]
		for _, it := range batches[i].Items {
			work[i].Results = append(work[i].Results, storage.Result{Index: it.Index, State: diaphone.Delivered})
		}
	}
	return work
}
