package bolt

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

// Of a sound store everything is salvaged, and what was made anew fits.
func TestSalvageOfASoundStore(t *testing.T) {
	dir := t.TempDir()
	store, out, target := filepath.Join(dir, "a.db"), filepath.Join(dir, "out"), filepath.Join(dir, "new.db")
	truth := populate(t, store)
	done, err := Salvage(store, out, false)
	if err != nil || done.Damaged+done.BrokenPages > 0 || !done.Report.Clean() {
		t.Fatalf("%+v, %v", done, err)
	}
	want := inspect(t, store)
	for i, b := range done.Report.Buckets {
		// Chunks of an index are cut as their entries come.
		if n := want.Buckets[i]; b.Records != n.Records && !isIndex(inMeta+bucket(i)) && b.Name != inMeta.String() {
			t.Errorf("%s: %d records of %d", b.Name, b.Records, n.Records)
		}
	}
	if _, _, err := Restore(out, target, false); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, target, Options{hooks: hooks{planPage: 40}})
	defer closeStore(t, s)
	readAll(t, s, truth, inMeta)
	useAll(t, s)
	if _, err := Salvage(store, out, false); !errors.Is(err, ErrExists) {
		t.Errorf("over a file: %v", err)
	}
}

// Whatever is broken, what comes out is a store that works, with nothing wrong in it.
func TestSalvageOfBrokenStores(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base.db")
	truth := populate(t, base)
	salvaged, devices := 0, int64(0)
	for round := range 40 {
		r := rand.New(rand.NewPCG(41, uint64(round)))
		dir := t.TempDir()
		path, out, target := filepath.Join(dir, "damaged.db"), filepath.Join(dir, "out"), filepath.Join(dir, "new.db")
		cloneFile(t, base, path)
		switch round % 3 {
		case 0:
			damage(t, path, inDevices, r)
		case 1:
			breakPage(t, path, r)
		default:
			breakHeader(t, path, r)
		}
		_, err := Salvage(path, out, false)
		if errors.Is(err, ErrNoStore) {
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		salvaged++
		if _, _, err := Restore(out, target, false); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s := openStore(t, target, Options{})
		for id, want := range truth.devices {
			if d, err := s.Device(t.Context(), testApp, id); err == nil {
				devices++
				if d.User != want.User || len(d.Tokens) != len(want.Tokens) {
					t.Fatalf("round %d: device %+v, was %+v", round, d, want)
				}
			}
		}
		if _, _, err := storagetest.Put(t.Context(), s, testDevice("new"), time.Now()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		closeStore(t, s)
	}
	t.Logf("%d of 40 broken files give a store, with %d of %d devices", salvaged, devices, salvaged*population)
	if salvaged < 30 || devices < int64(salvaged*population/2) {
		t.Error("that is too little")
	}
}
