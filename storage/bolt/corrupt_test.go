package bolt

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
	"go.etcd.io/bbolt"
)

const population = 150 // devices: several chunks in every index

// sound is a store's contents, written down before the damage.
type sound struct {
	devices  map[diaphone.DeviceID]diaphone.Device
	messages map[diaphone.MessageID]*diaphone.Message
}

// populate fills a store with everything there is a bucket for.
func populate(t *testing.T, path string) sound {
	t.Helper()
	s := openStore(t, path, Options{hooks: hooks{planPage: 40}})
	defer trim(t, path)
	defer closeStore(t, s)
	truth := sound{map[diaphone.DeviceID]diaphone.Device{}, map[diaphone.MessageID]*diaphone.Message{}}
	for i := range population {
		d := testDevice(fmt.Sprintf("d%03d", i))
		d.User = diaphone.UserID(fmt.Sprint("user", i%50))
		stored, _, err := storagetest.Put(t.Context(), s, d, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		truth.devices[d.ID] = stored
	}
	for i := range 6 {
		m := testMessage("d001", "d002")
		if i%2 == 0 {
			m.To = diaphone.Audience{Channels: []diaphone.ChannelName{"news"}}
		}
		if _, err := s.Accept(t.Context(), m, storage.Idempotency{Key: fmt.Sprint(i)}, testRoute); err != nil {
			t.Fatal(err)
		}
		r, err := s.Message(t.Context(), testApp, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		truth.messages[m.ID] = r.Message
		if i == 2 {
			mustSettle(t, s)
		}
	}
	for id := range truth.messages {
		if _, err := s.Report(t.Context(), testApp, "d001", []diaphone.Receipt{{Message: id, Kind: diaphone.ReceiptDisplayed}}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	later := testMessage("d001")
	later.SendAt = time.Now().Add(time.Hour)
	later.AcceptedAt, later.Expires = later.SendAt, later.SendAt.Add(time.Hour)
	if _, err := s.Accept(t.Context(), later, storage.Idempotency{}, testRoute); err != nil {
		t.Fatal(err)
	}
	r, err := s.Message(t.Context(), testApp, later.ID)
	if err != nil {
		t.Fatal(err)
	}
	truth.messages[later.ID] = r.Message
	populateNotices(t, s)
	return truth
}

// trim cuts what bbolt has put behind the pages in use for those to come: damage
// there would say nothing.
func trim(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head, err := readHead(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(head.bytes()); err != nil {
		t.Fatal(err)
	}
}

// damage flips one bit of one record of a bucket and gives the record as it is
// then; nil: the bucket is empty.
func damage(t *testing.T, path string, b bucket, r *rand.Rand) (k, v []byte) {
	t.Helper()
	raw(t, path, func(tx *bbolt.Tx) error {
		in := tx.Bucket([]byte(b.String()))
		var keys [][]byte
		if err := in.ForEach(func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil }); err != nil {
			return err
		}
		if len(keys) == 0 {
			return nil
		}
		k = keys[r.IntN(len(keys))]
		v = bytes.Clone(in.Get(k))
		v[r.IntN(len(v))] ^= 1 << r.IntN(8)
		return in.Put(k, v)
	})
	return k, v
}

func TestDamagedRecords(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.db")
	truth := populate(t, base)
	for b := inDevices; b < bucketEnd; b++ {
		if b == inFinished || b == inQuarantine || b == inSchedule {
			continue // their values say nothing; a wrong key is checked against the progress
		}
		for round := range 4 {
			t.Run(fmt.Sprintf("%s/%d", b, round), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "damaged.db")
				cloneFile(t, base, path)
				k, v := damage(t, path, b, rand.New(rand.NewPCG(uint64(b), uint64(round))))
				if k == nil {
					t.Fatalf("bucket %s is empty: the test says nothing of it", b)
				}
				var log bytes.Buffer
				s := openStore(t, path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), hooks: hooks{planPage: 40}})
				readAll(t, s, truth, b)
				useAll(t, s)
				readAll(t, s, truth, b)
				n := s.Stats().Quarantined
				closeStore(t, s)
				wantQuarantined(t, path, b, k, v)
				if n < 1 || strings.Count(log.String(), "bucket="+b.String()) != 1 {
					t.Errorf("counted %d, logged:\n%s", n, log.String())
				}
				if bytes.Contains(log.Bytes(), []byte("d001")) || bytes.Contains(log.Bytes(), []byte("token-of")) {
					t.Errorf("the log names devices or tokens:\n%s", log.String())
				}
				checkFile(t, path)
			})
		}
	}
}

// readAll reads everything there is: nothing wrong is served, at most what was
// damaged is missing.
func readAll(t *testing.T, s *Store, truth sound, b bucket) {
	t.Helper()
	ctx := context.Background()
	missing := 0
	if b == inDevices {
		missing = 1
	}
	list, _, err := s.ListDevices(ctx, testApp, "", storage.Page{Limit: storage.MaxPage})
	if err != nil || len(list) < population-missing {
		t.Fatalf("list: %d devices, %v", len(list), err)
	}
	for _, d := range list {
		if want := truth.devices[d.ID]; !reflect.DeepEqual(d, want) {
			t.Fatalf("device %s: served %+v, stored was %+v", d.ID, d, want)
		}
	}
	found, ofUsers := 0, 0
	for id, want := range truth.devices {
		d, err := s.Device(ctx, testApp, id)
		if err == nil && reflect.DeepEqual(d, want) {
			found++
		} else if diaphone.CodeOf(err) != diaphone.NotFound {
			t.Fatalf("device %s: %+v, %v", id, d, err)
		}
	}
	for i := range 50 {
		list, _, err := s.ListDevices(ctx, testApp, diaphone.UserID(fmt.Sprint("user", i)), storage.Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		ofUsers += len(list)
	}
	if found < population-missing || ofUsers < population-missing {
		t.Fatalf("found %d devices by id and %d by user", found, ofUsers)
	}
	readNotices(t, s, b)
	for id, want := range truth.messages {
		r, err := s.Message(ctx, testApp, id)
		if err == nil && !reflect.DeepEqual(r.Message, want) || err != nil && diaphone.CodeOf(err) != diaphone.NotFound {
			t.Fatalf("message %s: %+v, %v", id, r.Message, err)
		}
		deliveries, _, err := s.Deliveries(ctx, testApp, id, storage.Page{Limit: storage.MaxPage})
		if err != nil && diaphone.CodeOf(err) != diaphone.NotFound {
			t.Fatalf("deliveries of %s: %v", id, err)
		}
		for _, d := range deliveries {
			if _, known := truth.devices[d.Device]; !known {
				t.Fatalf("a delivery to %q", d.Device)
			}
		}
	}
}

// useAll goes through the motions of a server: it plans, claims, settles,
// registers anew and sweeps until nothing is left that it could do.
func useAll(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background()
	for range 100 {
		refs, err := s.Unplanned(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(refs) == 0 {
			break
		}
		for _, ref := range refs {
			if _, _, err := s.Plan(ctx, ref.App, ref.ID, testRoute); err != nil {
				t.Fatalf("plan: %v", err)
			}
		}
	}
	if refs, err := s.Unplanned(ctx, 10); err != nil || len(refs) > 0 {
		t.Fatalf("planning never ends: %v, %v", refs, err)
	}
	for i := range 6 {
		m := testMessage("d003")
		_, err := s.Accept(ctx, m, storage.Idempotency{Key: fmt.Sprint(i)}, testRoute)
		if err != nil {
			t.Fatalf("accept with a used key: %v", err)
		}
	}
	later := time.Now()
	for range 10 {
		later = later.Add(time.Hour)
		batches, _, err := s.Claim(ctx, storage.Claim{Lane: testLane, Now: later, N: 1 << 20, Lease: time.Minute})
		if err != nil {
			t.Fatalf("claim: %v", err)
		}
		if _, err := s.Settle(ctx, delivered(batches), later); err != nil {
			t.Fatalf("settle: %v", err)
		}
	}
	for i := range 20 {
		d := testDevice(fmt.Sprint("new", i))
		if _, _, err := storagetest.Put(ctx, s, d, later); err != nil {
			t.Fatalf("put: %v", err)
		}
		if err := s.DeleteDevice(ctx, testApp, d.ID); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	useNotices(t, s)
	if lanes, err := s.Lanes(ctx); err != nil || len(lanes) > 0 {
		t.Fatalf("a queue never ends: %v, %v", lanes, err)
	}
}

// wantQuarantined: the damaged bytes are kept, and are where they were no more.
func wantQuarantined(t *testing.T, path string, b bucket, k, v []byte) {
	t.Helper()
	raw(t, path, func(tx *bbolt.Tx) error {
		kept := tx.Bucket([]byte(inQuarantine.String())).Get(append([]byte{byte(b)}, k...))
		if !bytes.Equal(kept, v) {
			t.Errorf("quarantine has %x, want %x", kept, v)
		}
		if bytes.Equal(tx.Bucket([]byte(b.String())).Get(k), v) {
			t.Error("the damaged record is still in its bucket")
		}
		return nil
	})
}

// Damage to bbolt's own pages is an error of Open or of one call, never a panic.
func TestDamagedPages(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.db")
	populate(t, base)
	refused := 0
	for round := range 160 {
		path := filepath.Join(t.TempDir(), "damaged.db")
		cloneFile(t, base, path)
		if r := rand.New(rand.NewPCG(7, uint64(round))); round < 60 {
			breakPage(t, path, r)
		} else {
			breakHeader(t, path, r) // some of these bbolt meets in a goroutine of its own
		}
		s, err := Open(path, Options{})
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name the file: %v", err)
			}
			continue
		}
		for cursor, more := "", true; more; more = cursor != "" {
			_, next, err := s.ListDevices(t.Context(), testApp, "", storage.Page{Cursor: cursor, Limit: 10})
			if err != nil {
				break
			}
			cursor = next
		}
		_, _, _ = storagetest.Put(t.Context(), s, testDevice("x"), time.Now())
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if refused == 0 {
		t.Error("160 broken pages, and every file was opened: the test breaks nothing")
	}
	t.Logf("%d of 160 files were refused", refused)
}

// breakPage does to one page what failing disks do: zeros, noise, or the end of
// the file before it.
func breakPage(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	const page = 4096
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := page * (2 + r.IntN(len(b)/page-2))
	switch r.IntN(3) {
	case 0:
		clear(b[at : at+page])
	case 1:
		for i := range page {
			b[at+i] = byte(r.Uint32())
		}
	case 2:
		b = b[:at]
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cloneFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
