package bolt

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// The reader of pages sees what bbolt sees.
func TestPagesAgainstBolt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	populate(t, path)
	type record struct{ bucket, k, v string }
	var want, got []record
	raw(t, path, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				want = append(want, record{string(name), string(k), string(v)})
				return nil
			})
		})
	})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head, err := readHead(f)
	if err != nil {
		t.Fatal(err)
	}
	p := pages{file: f, head: head,
		fault: func(page uint64, what string) { t.Errorf("page %d: %s", page, what) },
		visit: func(bucket string, k, v []byte) { got = append(got, record{bucket, string(k), string(v)}) },
	}
	p.walk()
	if len(got) != len(want) || len(want) < 200 {
		t.Fatalf("%d records, bbolt has %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("record %d: %+v, bbolt has %+v", i, got[i], want[i])
		}
	}
}

// Whatever the pages are, reading them ends, and nothing is read beyond them.
func FuzzPages(f *testing.F) {
	path := filepath.Join(f.TempDir(), "small.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 1024, Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"devices", "meta"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range byte(100) {
				if err := b.Put([]byte{i}, bytes.Repeat([]byte{i}, int(i))); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	sound, readErr := os.ReadFile(path)
	if err != nil || readErr != nil {
		f.Fatal(err, readErr)
	}
	head, err := readHead(bytes.NewReader(sound))
	if err != nil {
		f.Fatal(err)
	}
	sound = sound[:head.bytes()]
	f.Add(sound, head.root)
	f.Fuzz(func(t *testing.T, b []byte, root uint64) {
		_, _ = readHead(bytes.NewReader(b))
		_, _ = readSeal(bytes.NewReader(b), int64(len(b)))
		visited := 0
		p := pages{
			file:  bytes.NewReader(b),
			head:  pageHead{pageSize: 1024, root: root, pages: uint64(len(b) / 1024)},
			fault: func(uint64, string) {},
			visit: func(_ string, k, v []byte) {
				visited++
				for in := inMeta; in < bucketEnd; in++ {
					_ = verify(in, k, v)
				}
			},
		}
		p.walk()
		if bytes.Equal(b, sound) && root == head.root && visited != 200 {
			t.Errorf("%d records of the sound file", visited)
		}
	})
}

// A record with a good checksum may still be nonsense: every bucket says so.
func FuzzVerify(f *testing.F) {
	f.Add(byte(inDevices), []byte(deviceKey("1", 7)), []byte{1, 2, 3})
	f.Add(byte(inHistory), []byte{1, '1', 0, 0}, []byte{0})
	f.Fuzz(func(_ *testing.T, in byte, k, payload []byte) {
		b := inMeta + bucket(in)%(bucketEnd-inMeta)
		r := newRecord(len(payload))
		r.raw(payload)
		value := r.seal(b, k)
		if verify(b, k, value) == nil {
			_ = orderIn(b, k, value) // which relies on it
		}
	})
}
