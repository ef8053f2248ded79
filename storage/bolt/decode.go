package bolt

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// errBad is the cause of every refusal to read a stored value.
var errBad = errors.New("bad record")

// reader takes a record's payload apart. The first fault sticks: the calls after
// it give zero values, so that a decoder checks once, at its end. No input makes
// it panic or allocate more than a small multiple of its length.
type reader struct {
	b   []byte
	err error
}

// open checks version and checksum of a stored value.
func open(b bucket, key, value []byte) (reader, error) {
	if len(value) < 1+checksumBytes {
		return reader{}, fmt.Errorf("%w: %d bytes", errBad, len(value))
	}
	body, sum := value[:len(value)-checksumBytes], value[len(value)-checksumBytes:]
	if checksum(b, key, body) != binary.BigEndian.Uint32(sum) {
		return reader{}, fmt.Errorf("%w: checksum", errBad)
	}
	if body[0] != recordVersion {
		return reader{}, fmt.Errorf("%w: version %d", errBad, body[0])
	}
	return reader{b: body[1:]}, nil
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errBad, what)
	}
	r.b = nil
}

// end gives the first fault; bytes left over are one.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("cut short")
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// number reads a count or a small number.
func (r *reader) number() int {
	v := r.uint()
	if v > 1<<31-1 {
		r.fail("number out of range")
		return 0
	}
	return int(v)
}

// count reads how many elements follow, of at least one byte each.
func (r *reader) count() int {
	n := r.number()
	if n > len(r.b) {
		r.fail("count beyond the record")
		return 0
	}
	return n
}

// raw gives the next n bytes; they belong to the record.
func (r *reader) raw(n int) []byte {
	if n > len(r.b) {
		r.fail("cut short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) blob() []byte    { return r.raw(r.count()) }
func (r *reader) text() string    { return string(r.blob()) }
func (r *reader) time() time.Time { return fromMillis(r.int()) }

// symbol is the inverse of record.symbol.
func (r *reader) symbol(list []string) string {
	i := r.number()
	if i == 0 {
		return r.text()
	}
	if i > len(list) {
		r.fail("unknown symbol")
		return ""
	}
	return list[i-1]
}

// packed is the inverse of record.packed.
func (r *reader) packed() string {
	switch r.byte() {
	case formPlain:
		return r.text()
	case formHex:
		return hex.EncodeToString(r.blob())
	case formUUID:
		return r.uuid()
	case formUpper:
		return strings.ToUpper(r.uuid())
	case formBits:
		return r.sixBits()
	}
	r.fail("unknown form of text")
	return ""
}

func (r *reader) sixBits() string {
	b, letters, colon := r.bits()
	if b == nil {
		return ""
	}
	text := base64.RawURLEncoding.EncodeToString(b)[:letters]
	if colon > 0 {
		text = text[:colon-1] + ":" + text[colon-1:]
	}
	return text
}

// bits gives the bytes of text in six bits a character: how many letters are in them,
// and before which one a colon belongs, counted from 1 (0: there is none).
func (r *reader) bits() (b []byte, letters, colon int) {
	letters, colon = r.number(), r.number()
	if colon > letters {
		r.fail("colon behind the text")
		return nil, 0, 0
	}
	if colon > 0 {
		letters--
	}
	return r.raw((letters + 3) / 4 * 3), letters, colon
}

// passPacked passes over packed text.
func (r *reader) passPacked() {
	switch r.byte() {
	case formPlain, formHex:
		r.blob()
	case formUUID, formUpper:
		r.raw(16)
	case formBits:
		r.bits()
	default:
		r.fail("unknown form of text")
	}
}

func (r *reader) uuid() string {
	b := r.raw(16)
	if b == nil {
		return ""
	}
	return uuidText(b)
}
