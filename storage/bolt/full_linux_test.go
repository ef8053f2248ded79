package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

func wantFull(t testing.TB, err error) {
	t.Helper()
	var full *diaphone.Error
	if !errors.As(err, &full) || full.Code != diaphone.StorageFull {
		t.Fatalf("got %v, want storage_full", err)
	}
	if full.RetryAfter <= 0 {
		t.Fatal("storage_full does not say when to try again")
	}
}

// fill accepts until the store is full and gives what it took.
func fill(t testing.TB, s *Store) (accepted []*diaphone.Message) {
	t.Helper()
	for {
		m := testMessage("d")
		m.Notification.Body = strings.Repeat("x", 12000)
		_, err := s.Accept(context.Background(), m, storage.Idempotency{}, testRoute)
		if err != nil {
			wantFull(t, err)
			if _, err := s.Message(context.Background(), testApp, m.ID); diaphone.CodeOf(err) != diaphone.NotFound {
				t.Fatalf("a refused message is there: %v", err)
			}
			return accepted
		}
		accepted = append(accepted, m)
	}
}

// drained settles and sweeps everything, and checks that room is there again.
func drained(t testing.TB, s *Store, accepted []*diaphone.Message) {
	t.Helper()
	for _, m := range accepted {
		if r, err := s.Message(context.Background(), testApp, m.ID); err != nil || r.Counts.Accepted != 1 {
			t.Fatalf("an accepted message: %+v, %v", r, err)
		}
	}
	mustSettle(t, s)
	n, _, err := s.Sweep(context.Background(), time.Now().Add(time.Minute), 1<<20)
	if err != nil || n != len(accepted) {
		t.Fatalf("sweep: %d of %d, %v", n, len(accepted), err)
	}
	mustAccept(t, s, testMessage("d"))
	if err := s.Check(context.Background()); err != nil {
		t.Fatalf("check: %v", err)
	}
	if st := s.Stats(); st.Full || st.RefusedFull == 0 {
		t.Errorf("there is room, and the counters say %+v", st)
	}
	select {
	case <-s.Failed():
		t.Fatalf("a full disk has ended the store: %v", s.Err())
	default:
	}
}

func TestLimitOfTheFile(t *testing.T) {
	s := newStore(t, Options{MaxBytes: 8 << 20, hooks: hooks{fullRetry: time.Millisecond}})
	mustPut(t, s, testDevice("d"))
	accepted := fill(t, s)
	if len(accepted) < 50 {
		t.Fatalf("full after %d messages", len(accepted))
	}
	_, _, err := storagetest.Put(context.Background(), s, testDevice("e"), time.Now())
	wantFull(t, err)
	wantFull(t, storagetest.Join(context.Background(), s, testApp, "d", "sport"))
	wantFull(t, s.Check(context.Background()))
	if err := storagetest.Leave(context.Background(), s, testApp, "d", "news"); err != nil {
		t.Fatalf("unsubscribe when full: %v", err)
	}
	drained(t, s, accepted)
}

// With no reserve at all even bbolt's own limit is hit; still nothing breaks.
func TestLimitOfTheFileWithoutReserve(t *testing.T) {
	s := newStore(t, Options{MaxBytes: 4 << 20, Reserve: 1, hooks: hooks{fullRetry: time.Millisecond}})
	mustPut(t, s, testDevice("d"))
	accepted := fill(t, s)
	if err := s.DeleteDevice(context.Background(), testApp, "d"); err != nil {
		wantFull(t, err)
	}
	for _, m := range accepted {
		if _, err := s.Message(context.Background(), testApp, m.ID); err != nil {
			t.Fatalf("an accepted message: %v", err)
		}
	}
}

func TestReserveOfTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	s := openStore(t, path, Options{})
	mustPut(t, s, testDevice("d"))
	mustAccept(t, s, testMessage("d"))
	closeStore(t, s)
	var log strings.Builder                                                                             // of the writer alone
	s = openStore(t, path, Options{Reserve: 1 << 62, Logger: slog.New(slog.NewTextHandler(&log, nil))}) // more than any disk has
	defer closeStore(t, s)
	_, err := s.Accept(context.Background(), testMessage("d"), storage.Idempotency{}, testRoute)
	wantFull(t, err)
	wantFull(t, s.Check(context.Background()))
	if st := s.Stats(); !st.Full || st.RefusedFull != 2 {
		t.Errorf("the counters say nothing of it: %+v", st)
	}
	if text := log.String(); strings.Count(text, "nearly full") != 1 || !strings.Contains(text, "bytes are free on the disk") {
		t.Errorf("the log says %q", text)
	}
	mustSettle(t, s)
	if err := s.DeleteDevice(context.Background(), testApp, "d"); err != nil {
		t.Fatalf("delete: %v", err)
	}
}

// diskOf gives a store and the descriptor of its file, to be taken away from it.
func diskOf(t *testing.T) (*Store, *os.File) {
	t.Helper()
	var files []*os.File
	s := newStore(t, Options{hooks: hooks{fullRetry: time.Millisecond, openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		files = append(files, f)
		return f, err
	}}})
	mustPut(t, s, testDevice("d"))
	for range 50 { // free pages, so that nothing needs to grow
		mustAccept(t, s, testMessage("d"))
	}
	mustSettle(t, s)
	if _, _, err := s.Sweep(t.Context(), time.Now().Add(time.Minute), 100); err != nil {
		t.Fatal(err)
	}
	return s, files[len(files)-1]
}

// replace puts another file behind f's descriptor until the function given back
// is called.
func replace(t *testing.T, f *os.File, name string, flag int) (restore func()) {
	t.Helper()
	fd := int(f.Fd())
	keep, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(name, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(other.Fd()), fd, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
	return func() {
		if err := syscall.Dup3(keep, fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Close(keep)
	}
}

// A disk that is full for everyone refuses settles too, and harms nothing.
func TestFullDisk(t *testing.T) {
	s, disk := diskOf(t)
	kept := testMessage("d")
	mustAccept(t, s, kept)
	batches, _, err := s.Claim(t.Context(), storage.Claim{Lane: testLane, Now: time.Now().Add(time.Second), N: 1, Lease: time.Minute})
	if err != nil || len(batches) != 1 {
		t.Fatalf("claim: %v, %v", batches, err)
	}
	done := []storage.Settlement{{Batch: &batches[0], Results: []storage.Result{{State: diaphone.Delivered}}}}

	restore := replace(t, disk, "/dev/full", os.O_RDWR)
	for range 3 {
		refused := testMessage("d")
		_, err := s.Accept(t.Context(), refused, storage.Idempotency{Key: "k"}, testRoute)
		wantFull(t, err)
		if _, err := s.Message(t.Context(), testApp, refused.ID); diaphone.CodeOf(err) != diaphone.NotFound {
			t.Fatalf("a refused message: %v", err)
		}
		_, err = s.Settle(t.Context(), done, time.Now())
		wantFull(t, err)
	}
	restore()

	settled, err := s.Settle(t.Context(), done, time.Now())
	if err != nil || len(settled.Finished) != 1 {
		t.Fatalf("settle after room was made: %+v, %v", settled, err)
	}
	// The cool-down is a millisecond here; until it is over the refusal stands.
	for deadline := time.Now().Add(5 * time.Second); ; {
		a, err := s.Accept(t.Context(), testMessage("d"), storage.Idempotency{Key: "k"}, testRoute)
		if err == nil {
			if a.Replayed {
				t.Fatal("a refused accept has left its idempotency key")
			}
			break
		}
		wantFull(t, err)
		if time.Now().After(deadline) {
			t.Fatal("the store does not recover")
		}
	}
	checkFileWhole(t, s)
}

// checkFileWhole lets bbolt check the file of an open store.
func checkFileWhole(t *testing.T, s *Store) {
	t.Helper()
	tx, err := s.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for err := range tx.Check() {
		t.Errorf("bbolt check: %v", err)
	}
}

// Any other failure of a write ends all writing, at once and for good.
func TestFailedCommit(t *testing.T) {
	s, disk := diskOf(t)
	before := testMessage("d")
	mustAccept(t, s, before)
	restore := replace(t, disk, s.path, os.O_RDONLY) // every write fails
	during := testMessage("d")
	_, err := s.Accept(t.Context(), during, storage.Idempotency{}, testRoute)
	wantUnavailable(t, err)
	select {
	case <-s.Failed():
	default:
		t.Fatal("Failed is not closed")
	}
	restore() // the disk is well again, but nobody knows what it has lost
	_, err = s.Accept(t.Context(), testMessage("d"), storage.Idempotency{}, testRoute)
	wantUnavailable(t, err)
	_, _, err = s.Claim(t.Context(), storage.Claim{Lane: testLane, Now: time.Now(), N: 1, Lease: time.Minute})
	wantUnavailable(t, err)
	wantUnavailable(t, s.Check(t.Context()))
	if _, err := s.Message(t.Context(), testApp, before.ID); err != nil {
		t.Errorf("reading goes on: %v", err)
	}
	if !s.Stats().ReadOnly {
		t.Error("the statistics do not say that the store is read-only")
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if diaphone.CodeOf(err) != diaphone.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
}

func TestWhatIsFull(t *testing.T) {
	write := func(code syscall.Errno) error { return &os.PathError{Op: "write", Path: "x", Err: code} }
	for _, c := range []struct {
		err  error
		full bool
	}{
		{write(syscall.ENOSPC), true},
		{write(syscall.EDQUOT), true},
		{write(syscall.EFBIG), true},
		{write(syscall.EIO), false},
		{syscall.ENOSPC, false}, // from fdatasync: what was written is unknown
		{syscall.EIO, false},
		{errors.New("file resize error: truncate x: " + syscall.EFBIG.Error()), true},
		{errors.New("file resize error: truncate x: " + syscall.EIO.Error()), false},
		{errors.New("file sync error: sync x: " + syscall.ENOSPC.Error()), false},
	} {
		if got := isFull(c.err); got != c.full {
			t.Errorf("%v: full %v, want %v", c.err, got, c.full)
		}
	}
}

// smallFiles runs in a child whose files may not grow, until they may.
func smallFiles(s *Store) error {
	signal.Ignore(syscall.SIGXFSZ) // so that the write fails instead
	if _, _, err := storagetest.Put(context.Background(), s, testDevice("d"), time.Now()); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	small := syscall.Rlimit{Cur: uint64(info.Size()) + 4096, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		return err
	}
	accepted := 0
	for full := false; !full; {
		_, err := s.Accept(context.Background(), testMessage("d"), storage.Idempotency{}, testRoute)
		switch {
		case err == nil:
			accepted++
		case diaphone.CodeOf(err) == diaphone.StorageFull:
			full = true
		default:
			return err
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		_, err := s.Accept(context.Background(), testMessage("d"), storage.Idempotency{}, testRoute)
		if err == nil {
			break
		}
		if diaphone.CodeOf(err) != diaphone.StorageFull || time.Now().After(deadline) {
			return err
		}
	}
	fmt.Printf("recovered, accepted %d before\n", accepted)
	return nil
}

// The system refuses to let the file grow, and later lets it.
func TestFileThatCannotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	cmd, lines := child(t, "small-files", path)
	lines.Scan()
	said := lines.Text()
	for lines.Scan() {
		said += "\n" + lines.Text()
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(said, "recovered") {
		t.Fatalf("%q, %v", said, err)
	}
	checkFile(t, path)
}

// smallBackup runs in a child whose files may become no larger than a few pages.
func smallBackup(s *Store) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20_000, Max: limit.Max}); err != nil {
		return err
	}
	_, err := SaveBackup(s.path+".backup", true, func(w io.Writer) error {
		return s.Backup(context.Background(), w, func(int64) {})
	})
	fmt.Println("refused:", err)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// A disk that is full before the backup's end leaves nothing of it, and the
// earlier one as it was.
func TestBackupToAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	if err := os.WriteFile(path+".backup", []byte("the earlier one"), 0o600); err != nil {
		t.Fatal(err)
	}
	populate(t, path)
	cmd, lines := child(t, "small-backup", path)
	lines.Scan()
	said := lines.Text()
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(said, "refused: the disk of "+filepath.Dir(path)+" is full") {
		t.Fatalf("%q, %v", said, err)
	}
	if now, err := os.ReadFile(path + ".backup"); err != nil || string(now) != "the earlier one" {
		t.Errorf("the earlier backup: %q, %v", now, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
