package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"go.etcd.io/bbolt"
)

// populated gives the file of a closed store with something in every bucket, and
// a backup of it.
func populated(t *testing.T) (store, backup string) {
	t.Helper()
	dir := t.TempDir()
	store, backup = filepath.Join(dir, "diaphone.db"), filepath.Join(dir, "backup")
	populate(t, store)
	if _, err := SaveBackup(backup, false, func(w io.Writer) error { return BackupFile(store, w, func(int64) {}) }); err != nil {
		t.Fatal(err)
	}
	return store, backup
}

func inspect(t *testing.T, path string) *Report {
	t.Helper()
	r, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestInspectFindsNothingWrongWithASoundStore(t *testing.T) {
	store, backup := populated(t)
	for path, seal := range map[string]string{store: SealNone, backup: SealGood} {
		r := inspect(t, path)
		if !r.Clean() || !r.Complete || r.Seal != seal || r.Schema != schemaVersion(migrations()) {
			t.Errorf("%s: %+v", path, r)
		}
		for _, b := range r.Buckets {
			if b.Records == 0 && b.Name != inQuarantine.String() {
				t.Errorf("bucket %s is empty: the test says nothing of it", b.Name)
			}
		}
	}
}

// Whatever one bit of a backup is flipped, it is not restored, and nothing panics.
func TestOneFlippedBitOfABackup(t *testing.T) {
	_, backup := populated(t)
	sound, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(11, 12))
	target := filepath.Join(t.TempDir(), "data", "diaphone.db")
	flipped := filepath.Join(t.TempDir(), "flipped")
	unsealed, reported := 0, 0
	for i := range 200 {
		at := r.IntN(len(sound))
		if i < sealBytes { // every byte of the seal too
			at = len(sound) - 1 - i
		}
		b := bytes.Clone(sound)
		b[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(flipped, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Restore(flipped, target, false); !errors.Is(err, ErrDamaged) && !errors.Is(err, errNoSeal) && !errors.Is(err, errSealSpent) {
			t.Fatalf("byte %d flipped: %v", at, err)
		}
		if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("byte %d flipped: a store has been made", at)
		}
		// Without the seal it is a store like others: what can be noticed is reported.
		if err := os.WriteFile(flipped, b[:len(b)-sealBytes], 0o600); err != nil {
			t.Fatal(err)
		}
		unsealed++
		if report, err := Inspect(flipped); err != nil || report.Damage.Count > 0 {
			reported++
		}
	}
	t.Logf("of %d flipped bits, %d would have been noticed without the seal", unsealed, reported)
	if _, _, err := Restore(backup, target, false); err != nil {
		t.Errorf("the sound one: %v", err)
	}
}

// Every flipped bit in a record is found, in every bucket.
func TestInspectFindsDamagedRecords(t *testing.T) {
	store, _ := populated(t)
	for b := inMeta; b < bucketEnd; b++ {
		if b == inQuarantine {
			continue
		}
		for round := range 3 {
			path := filepath.Join(t.TempDir(), "damaged.db")
			cloneFile(t, store, path)
			k, _ := damage(t, path, b, rand.New(rand.NewPCG(uint64(b), uint64(round))))
			r, err := Inspect(path)
			if err != nil {
				t.Fatal(err)
			}
			if r.Damage.Count == 0 || r.Damage.First[0].Place != recordPlace(b, k) {
				t.Errorf("%s: %+v", b, r.Damage)
			}
		}
	}
}

// Broken pages and random noise in whatever place: a report or an error, no panic.
func TestInspectOfBrokenPages(t *testing.T) {
	store, _ := populated(t)
	found := 0
	for round := range 120 {
		r := rand.New(rand.NewPCG(21, uint64(round)))
		path := filepath.Join(t.TempDir(), "damaged.db")
		cloneFile(t, store, path)
		if round%2 == 0 {
			breakPage(t, path, r)
		} else {
			breakHeader(t, path, r)
		}
		if report, err := Inspect(path); err != nil || report.Damage.Count > 0 {
			found++
		}
	}
	if found < 60 {
		t.Errorf("of 120 broken files %d are reported", found)
	}
	t.Logf("of 120 broken files %d are reported; the others have unused pages broken", found)
}

// breakHeader changes the numbers at the beginning of a page: what it is, how much
// is in it, where that is, and which pages are below it.
func breakHeader(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	at := page * r.IntN(len(b)/page)
	for range 1 + r.IntN(3) {
		b[at+r.IntN(64)] = byte(r.Uint32())
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspectFindsLooseEnds(t *testing.T) {
	store, _ := populated(t)
	for b := inDevices; b < bucketEnd; b++ {
		if b == inQuarantine || b == inStanding || b == inHistory || b == inIdem {
			continue // nothing else refers to these
		}
		path := filepath.Join(t.TempDir(), "loose.db")
		cloneFile(t, store, path)
		raw(t, path, func(tx *bbolt.Tx) error {
			in := tx.Bucket([]byte(b.String()))
			k, _ := in.Cursor().Last() // of the newest message, which is not finished
			return in.Delete(bytes.Clone(k))
		})
		if r := inspect(t, path); r.LooseEnds.Count == 0 || r.Damage.Count > 0 {
			t.Errorf("without a record of %s: %d loose ends, damage %+v", b, r.LooseEnds.Count, r.Damage)
		}
	}
}

func TestFilesThatAreNoStores(t *testing.T) {
	store, _ := populated(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := filepath.Join(dir, "newer")
	cloneFile(t, store, newer)
	raw(t, newer, func(tx *bbolt.Tx) error { return writeSchema(tx, 77) })
	other := filepath.Join(dir, "other")
	raw(t, other, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
	for path, want := range map[string]error{
		write("empty", nil):                     ErrNoStore,
		write("text", []byte("hello, world\n")): ErrNoStore,
		write("zeros", make([]byte, 1<<20)):     ErrNoStore,
		dir:                                     ErrNoStore,
		other:                                   ErrNoStore,
		newer:                                   ErrTooNew,
		filepath.Join(dir, "not there"):         fs.ErrNotExist,
		write("half a page", make([]byte, 4096/2)): ErrNoStore,
	} {
		_, err := Inspect(path)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if _, _, err := Restore(path, filepath.Join(dir, "data", "diaphone.db"), true); !errors.Is(err, want) {
			t.Errorf("restore %s: %v, want %v", path, err, want)
		}
	}
}

func writeSchema(tx *bbolt.Tx, version uint64) error {
	r := newRecord(2)
	r.uint(version)
	return (&txn{tx: tx}).put(inMeta, schemaKey(), r)
}

// A store of before webhooks is sound, and a backup of it can be restored.
func TestAnOlderStore(t *testing.T) {
	store, _ := populated(t)
	raw(t, store, func(tx *bbolt.Tx) error {
		for _, b := range []bucket{inTallies, inNotices, inDead, inStanding} {
			if err := tx.DeleteBucket([]byte(b.String())); err != nil {
				return err
			}
		}
		return writeSchema(tx, 1)
	})
	if r := inspect(t, store); !r.Clean() || r.Schema != 1 {
		t.Errorf("%+v", r)
	}
	backup, target := store+".backup", filepath.Join(t.TempDir(), "diaphone.db")
	if _, err := SaveBackup(backup, false, func(w io.Writer) error { return BackupFile(store, w, func(int64) {}) }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Restore(backup, target, false); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openStore(t, target, Options{}))
	if r := inspect(t, target); !r.Clean() || r.Schema != schemaVersion(migrations()) {
		t.Errorf("after the start: %+v", r)
	}
}

// What a restored gateway has is what was there when the backup began; the logs of
// webhooks go on with numbers that nobody has seen.
func TestRestore(t *testing.T) {
	dir := t.TempDir()
	store, backup, target := filepath.Join(dir, "a.db"), filepath.Join(dir, "backup"), filepath.Join(dir, "new", "diaphone.db")
	truth := populate(t, store)
	s := openStore(t, store, Options{})
	if _, err := SaveBackup(backup, false, func(w io.Writer) error { return s.Backup(t.Context(), w, func(int64) {}) }); err != nil {
		t.Fatal(err)
	}
	before, err := s.Queues(t.Context(), "")
	if err != nil || len(before) == 0 {
		t.Fatal(before, err)
	}
	mustPut(t, s, testDevice("too late"))
	if _, err := Inspect(store); !errors.Is(err, ErrInUse) {
		t.Errorf("inspect a store in use: %v", err)
	}
	if _, _, err := Restore(backup, store, true); !errors.Is(err, ErrInUse) {
		t.Errorf("restore over a store in use: %v", err)
	}
	closeStore(t, s)
	if _, _, err := Restore(backup, store, false); !errors.Is(err, ErrExists) {
		t.Errorf("restore over a store: %v", err)
	}
	if _, aside, err := Restore(backup, target, false); err != nil || aside != "" {
		t.Fatalf("restore: %q, %v", aside, err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info, err)
	}
	s = openStore(t, target, Options{})
	defer closeStore(t, s)
	readAll(t, s, truth, inMeta)
	if _, err := s.Device(t.Context(), testApp, "too late"); diaphone.CodeOf(err) != diaphone.NotFound {
		t.Errorf("a device of after the backup: %v", err)
	}
	after, err := s.Queues(t.Context(), "")
	if err != nil || len(after) != len(before) {
		t.Fatal(after, err)
	}
	for i := range after {
		if after[i].Last < uint64(time.Now().Add(-time.Hour).UnixMilli()) || after[i].Pending != before[i].Pending {
			t.Errorf("the log of a webhook: %+v, was %+v", after[i], before[i])
		}
	}
}

func TestRestoreKeepsWhatItReplaces(t *testing.T) {
	store, backup := populated(t)
	s := openStore(t, store, Options{})
	mustPut(t, s, testDevice("only in the old one"))
	closeStore(t, s)
	_, aside, err := Restore(backup, store, true)
	if err != nil || aside == "" {
		t.Fatalf("%q, %v", aside, err)
	}
	for path, want := range map[string]diaphone.Code{aside: "", store: diaphone.NotFound} {
		s := openStore(t, path, Options{})
		if _, err := s.Device(t.Context(), testApp, "only in the old one"); diaphone.CodeOf(err) != want && (want != "" || err != nil) {
			t.Errorf("%s: %v", path, err)
		}
		closeStore(t, s)
	}
}

// A store that has been a backup is a store: its old seal says nothing any more.
func TestABackupThatIsUsedAsAStore(t *testing.T) {
	_, backup := populated(t)
	s := openStore(t, backup, Options{})
	mustPut(t, s, testDevice("x"))
	closeStore(t, s)
	if r := inspect(t, backup); r.Seal == SealGood || r.Seal == SealBroken || !r.Clean() {
		t.Errorf("%+v", r)
	}
	if _, _, err := Restore(backup, filepath.Join(t.TempDir(), "diaphone.db"), false); err == nil {
		t.Error("it is restored")
	}
}

// Whatever keeps a backup from its end leaves everything as it was.
func TestABackupThatFails(t *testing.T) {
	store, backup := populated(t)
	sound, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for name, receive := range map[string]func(io.Writer) error{
		"the connection breaks": func(w io.Writer) error {
			_, _ = w.Write(sound[:len(sound)/2])
			return broken
		},
		"the end is missing": func(w io.Writer) error { _, err := w.Write(sound[:len(sound)-1]); return err },
		"the middle is missing": func(w io.Writer) error {
			_, err := w.Write(append(bytes.Clone(sound[:8192]), sound[12288:]...))
			return err
		},
		"nothing comes": func(io.Writer) error { return nil },
	} {
		if _, err := SaveBackup(backup, true, receive); err == nil {
			t.Errorf("%s: no error", name)
		}
		if now, err := os.ReadFile(backup); err != nil || !bytes.Equal(now, sound) {
			t.Errorf("%s: the earlier backup has changed", name)
		}
	}
	if _, err := SaveBackup(backup, false, func(w io.Writer) error { return BackupFile(store, w, func(int64) {}) }); !errors.Is(err, ErrExists) {
		t.Errorf("over an earlier one: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(backup))
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A backup under load has all that was acknowledged before it began, fits together,
// and keeps no writer waiting, however long the other end takes.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "diaphone.db"), Options{})
	defer closeStore(t, s)
	for i := range 50 {
		mustPut(t, s, testDevice(fmt.Sprint("d", i)))
	}
	var before []diaphone.MessageID
	accept := func() diaphone.MessageID {
		m := testMessage("d1", "d2")
		mustAccept(t, s, m)
		return m.ID
	}
	for range 100 {
		before = append(before, accept())
	}
	sizeBefore := s.Stats().FileBytes
	backup := filepath.Join(dir, "backup")
	during := 0
	report, err := SaveBackup(backup, false, func(w io.Writer) error {
		begun := false
		return s.Backup(t.Context(), writerFunc(func(b []byte) (int, error) {
			if !begun { // the snapshot is taken, and not a byte of it has gone
				begun = true
				for i := range 300 {
					accept()
					mustPut(t, s, testDevice(fmt.Sprint("during", i)))
					during++
				}
				mustSettle(t, s)
			}
			return w.Write(b)
		}), func(int64) {})
	})
	if err != nil || !report.Clean() {
		t.Fatalf("%v, %+v", err, report)
	}
	t.Logf("%d publishes and registrations while the snapshot stood still: the file has grown from %d to %d bytes",
		2*during, sizeBefore, s.Stats().FileBytes)
	target := filepath.Join(dir, "restored.db")
	if _, _, err := Restore(backup, target, false); err != nil {
		t.Fatal(err)
	}
	restored := openStore(t, target, Options{})
	defer closeStore(t, restored)
	for _, id := range before {
		if r, err := restored.Message(t.Context(), testApp, id); err != nil || r.Counts.Pending != 2 {
			t.Fatalf("message %s: %+v, %v", id, r.Counts, err)
		}
	}
	list, _, err := restored.ListDevices(t.Context(), testApp, "", storage.Page{Limit: storage.MaxPage})
	if err != nil || len(list) != 50 {
		t.Errorf("%d devices, %v", len(list), err)
	}
	mustSettle(t, restored)
	if r, err := restored.Message(t.Context(), testApp, before[0]); err != nil || r.Counts.Delivered != 2 {
		t.Errorf("after the restore: %+v, %v", r.Counts, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
