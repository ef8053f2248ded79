package bolt

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// txn is one bbolt transaction, read or write, with records in place of raw
// values. It belongs to one goroutine and ends with the function it was given to.
type txn struct {
	tx      *bbolt.Tx
	damage  *quarantine // nil while the file is being opened
	page    int         // devices that one planning step reads
	buckets [bucketEnd]*bbolt.Bucket
	news    *news // nil: nobody is told
	writes  int   // puts and deletes so far
	bytes   int   // of them

	full error // why nothing may be added; nil: there is room
	adds bool  // the job that runs has asked to add something
}

// mayAdd is for a write that finds out only now that it adds something.
func (t *txn) mayAdd() error {
	t.adds = true
	return t.full
}

func (t *txn) bucket(b bucket) *bbolt.Bucket {
	if t.buckets[b] == nil {
		open := t.tx.Bucket([]byte(b.String()))
		if open != nil && b.growsAtEnd() {
			open.FillPercent = fillAtEnd
		}
		t.buckets[b] = open
	}
	return t.buckets[b]
}

// get reads a record. ok is false when there is none. A record that cannot be
// trusted gives errBad, and goes to quarantine with the next write.
func (t *txn) get(b bucket, k key) (r reader, ok bool, err error) {
	value := t.bucket(b).Get(k)
	if value == nil {
		return reader{}, false, nil
	}
	r, err = open(b, k, value)
	if err != nil {
		return reader{}, false, t.bad(b, k, value, err)
	}
	return r, true, nil
}

// read gives a record decoded. ok is false when there is none.
func read[T any](t *txn, b bucket, k key, decode func(reader) (T, error)) (v T, ok bool, err error) {
	r, ok, err := t.get(b, k)
	if err != nil || !ok {
		return v, false, err
	}
	if v, err = decode(r); err != nil {
		return v, false, t.bad(b, k, t.bucket(b).Get(k), err)
	}
	return v, true, nil
}

// readAs decodes a value that a scan came upon. ok is false when it cannot be
// trusted; then it has been reported, and is to be passed over.
func readAs[T any](t *txn, b bucket, k, value []byte, decode func(reader) (T, error)) (v T, ok bool) {
	r, err := open(b, k, value)
	if err == nil {
		v, err = decode(r)
	}
	if err != nil {
		_ = t.bad(b, k, value, err)
		return v, false
	}
	return v, true
}

// bad reports a record that could not be decoded and gives the error on.
func (t *txn) bad(b bucket, k, value []byte, err error) error {
	if t.damage != nil && isDamage(err) {
		t.damage.report(b, k, value, err)
	}
	return fmt.Errorf("%s record: %w", b, err)
}

func (t *txn) put(b bucket, k key, r record) error {
	value := r.seal(b, k)
	t.writes++
	t.bytes += len(k) + len(value)
	if err := t.bucket(b).Put(k, value); err != nil {
		return fmt.Errorf("put into %s: %w", b, err)
	}
	return nil
}

func (t *txn) delete(b bucket, k key) error {
	t.writes++
	t.bytes += len(k)
	if err := t.bucket(b).Delete(k); err != nil {
		return fmt.Errorf("delete from %s: %w", b, err)
	}
	return nil
}

// nextOrder takes the next number of the store order: every Accept, every new
// device, every binding and every batch has its own, later ones are greater.
func (t *txn) nextOrder() (uint64, error) {
	t.writes++
	n, err := t.bucket(inMeta).NextSequence()
	if err != nil {
		return 0, fmt.Errorf("take a store order number: %w", err)
	}
	return n, nil
}

// scan calls visit for the keys that begin with prefix, from the first that is
// not below from, until visit says stop. It must not write to the bucket.
func (t *txn) scan(b bucket, prefix, from key, visit func(k, v []byte) (more bool)) {
	c := t.bucket(b).Cursor()
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if !visit(k, v) {
			return
		}
	}
}

// clear deletes up to limit keys that begin with prefix and tells how many.
func (t *txn) clear(b bucket, prefix key, limit int) (int, error) {
	var keys []key
	t.scan(b, prefix, nil, func(k, _ []byte) bool {
		if len(keys) == limit {
			return false
		}
		keys = append(keys, bytes.Clone(k))
		return true
	})
	for _, k := range keys {
		if err := t.delete(b, k); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}
