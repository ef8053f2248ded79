package bolt

import (
	"encoding/base64"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// cursor makes and reads the opaque cursors of one list. A checksum over kind and
// subject of the list refuses a cursor of another one, or one that was invented.
type cursor struct {
	kind string
	of   string
}

const cursorBucket = bucket(0xff) // no bucket's number

func (c cursor) text(place ...uint64) string {
	r := newRecord(8 * len(place))
	for _, n := range place {
		r.uint(n)
	}
	return c.seal(r)
}

// textOf makes a cursor whose place is a key.
func (c cursor) textOf(place key) string {
	r := newRecord(len(place))
	r.raw(place)
	return c.seal(r)
}

func (c cursor) seal(r record) string {
	return base64.RawURLEncoding.EncodeToString(r.seal(cursorBucket, key(c.kind).text(c.of)))
}

// parse gives the n numbers of a cursor's place; the empty cursor is all zeros.
func (c cursor) parse(text string, n int) ([]uint64, error) {
	place := make([]uint64, n)
	if text == "" {
		return place, nil
	}
	r, err := c.open(text)
	for i := range place {
		place[i] = r.uint()
	}
	if err != nil || r.end() != nil {
		return nil, errCursor()
	}
	return place, nil
}

// parseKey is the inverse of textOf; the empty cursor is the empty key.
func (c cursor) parseKey(text string) (key, error) {
	if text == "" {
		return nil, nil
	}
	r, err := c.open(text)
	if err != nil {
		return nil, errCursor()
	}
	return r.b, nil
}

func (c cursor) open(text string) (reader, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return reader{}, err
	}
	return open(cursorBucket, key(c.kind).text(c.of), b)
}

func errCursor() error {
	return diaphone.InvalidField("/cursor", "malformed", "the cursor is not one that this list gave: begin without one")
}

func checkLimit(p storage.Page) error {
	if p.Limit < 1 || p.Limit > storage.MaxPage {
		return diaphone.InvalidField("/limit", "out_of_range", "limit is 1 to %d, this one is %d", storage.MaxPage, p.Limit)
	}
	return nil
}
