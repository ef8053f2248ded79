package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// refused opens and wants an error with all the words.
func refused(t *testing.T, path string, o Options, words ...string) {
	t.Helper()
	s, err := Open(path, o)
	if err == nil {
		closeStore(t, s)
		t.Fatal("opened")
	}
	for _, w := range append(words, path) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "diaphone.db")
	s := openStore(t, path, Options{})
	defer closeStore(t, s)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	refused(t, file("empty", ""), Options{}, "damaged", "empty")
	refused(t, file("text", strings.Repeat("no database\n", 2000)), Options{}, "damaged")
	refused(t, file("short", "x"), Options{}, "damaged")
	refused(t, dir, Options{})
}

// Several openers of a file that is not there: one gets it, nobody's file is
// replaced by another's.
func TestCreatedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	var won []*Store
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := Open(path, Options{LockTimeout: 300 * time.Millisecond})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, s)
			} else if !strings.Contains(err.Error(), "another diaphone") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have opened it", len(won))
	}
	mustPut(t, won[0], testDevice("d"))
	closeStore(t, won[0])
	s := openStore(t, path, Options{})
	if _, err := s.Device(t.Context(), testApp, "d"); err != nil {
		t.Error(err)
	}
	closeStore(t, s)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
}

// What a crash during creation has left goes at the next opening.
func TestLeftovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	left := path + newSuffix + "123"
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openStore(t, path, Options{}))
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
}

func setSchema(t *testing.T, path string, version uint64) {
	t.Helper()
	raw(t, path, func(tx *bbolt.Tx) error {
		r := newRecord(2)
		r.uint(version)
		return (&txn{tx: tx}).put(inMeta, schemaKey(), r)
	})
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	closeStore(t, openStore(t, path, Options{}))
	setSchema(t, path, 77)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known := schemaVersion(migrations())
	refused(t, path, Options{}, fmt.Sprintf("written by a newer diaphone (schema 77, this one knows %d): upgrade, or restore a backup", known))
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the refused file has been changed (%v)", err)
	}
	setSchema(t, path, known)
	closeStore(t, openStore(t, path, Options{}))
}

func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	s := openStore(t, path, Options{})
	mustPut(t, s, testDevice("d"))
	closeStore(t, s)

	var ran []string
	broken := true
	steps := append(migrations(), []migration{
		{"first", func(t *txn) error { ran = append(ran, "first"); return putProbe(t, "first") }},
		{"second", func(t *txn) error {
			ran = append(ran, "second")
			if broken {
				return errTest
			}
			return putProbe(t, "second")
		}},
	}...)
	o := Options{hooks: hooks{migrations: steps}}
	refused(t, path, o, fmt.Sprintf("migrate from schema %d (second)", schemaVersion(migrations())+1), errTest.Error())
	s = openStore(t, path, Options{}) // still what it was: the old binary can go on
	if hasProbe(t, s, "first") {
		t.Error("half of the migrations have been kept")
	}
	closeStore(t, s)

	broken = false
	for range 2 {
		closeStore(t, openStore(t, path, o))
	}
	if got := fmt.Sprint(ran); got != "[first second first second]" {
		t.Errorf("ran %s", got)
	}
	refused(t, path, Options{}, fmt.Sprintf("schema %d, this one knows %d", schemaVersion(steps), schemaVersion(migrations())))

	fresh := filepath.Join(t.TempDir(), "diaphone.db")
	ran = nil
	closeStore(t, openStore(t, fresh, o))
	if len(ran) > 0 {
		t.Errorf("a new file was migrated: %v", ran)
	}
}
