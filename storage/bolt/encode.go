package bolt

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"time"
)

// recordVersion is the first byte of every stored value. It says how the
// payload is laid out; a change of layout takes the next number and a migration.
const recordVersion = 1

// checksumBytes is the length of the CRC32C that ends every stored value.
const checksumBytes = 4

// record builds one stored value: version byte, payload, CRC32C. bbolt has no
// checksums of its own, so the value carries one. It covers bucket and key too:
// a sound value under the wrong key is as bad as a broken one.
type record []byte

func newRecord(size int) record {
	r := make(record, 1, 1+size+checksumBytes)
	r[0] = recordVersion
	return r
}

func (r *record) byte(b byte)      { *r = append(*r, b) }
func (r *record) raw(b []byte)     { *r = append(*r, b...) }
func (r *record) uint(v uint64)    { *r = binary.AppendUvarint(*r, v) }
func (r *record) int(v int64)      { *r = binary.AppendVarint(*r, v) }
func (r *record) number(v int)     { r.uint(uint64(max(v, 0))) }
func (r *record) text(s string)    { r.number(len(s)); *r = append(*r, s...) }
func (r *record) blob(b []byte)    { r.number(len(b)); r.raw(b) }
func (r *record) time(t time.Time) { r.int(millis(t)) }

// symbol writes a word of a known list as its place, any other word as text.
func (r *record) symbol(list []string, word string) {
	for i, w := range list {
		if w == word {
			r.number(i + 1)
			return
		}
	}
	r.number(0)
	r.text(word)
}

// The forms of packed text.
const (
	formPlain = iota
	formHex   // lower-case hex, an even number of digits: half the bytes
	formUUID  // canonical lower-case UUID: 16 bytes
	formUpper // the same in upper case, as APNs answers
	formBits  // base64url, perhaps with a colon in it, as FCM's tokens: six bits a character
)

// packed writes text, and in binary form what has one that is surely smaller.
func (r *record) packed(s string) {
	if b, upper, ok := uuidBytes(s); ok {
		if upper {
			r.byte(formUpper)
		} else {
			r.byte(formUUID)
		}
		r.raw(b[:])
		return
	}
	if b, err := hex.DecodeString(s); err == nil && s != "" && hex.EncodeToString(b) == s {
		r.byte(formHex)
		r.blob(b)
		return
	}
	if bits, colon, ok := sixBits(s); ok {
		r.byte(formBits)
		r.number(len(s))
		r.number(colon)
		r.raw(bits)
		return
	}
	r.byte(formPlain)
	r.text(s)
}

// leastBits is how long a text has to be for six bits a character to be worth it.
const leastBits = 32

// sixBits packs a text of base64url's characters. colon is the place behind its one
// colon; 0: it has none.
func sixBits(s string) (bits []byte, colon int, ok bool) {
	if len(s) < leastBits {
		return nil, 0, false
	}
	before, after, found := strings.Cut(s, ":")
	if found {
		colon = len(before) + 1
	}
	text := before + after
	// Whole groups of four have no bits to spare, so that every text comes back.
	bits, err := base64.RawURLEncoding.DecodeString(text + "AAA"[:(4-len(text)%4)%4])
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, 0, false
	}
	return bits, colon, true
}

func uuidBytes(s string) (b [16]byte, upper, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return b, false, false
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return b, false, false
	}
	switch s {
	case uuidText(b[:]):
		return b, false, true
	case strings.ToUpper(uuidText(b[:])):
		return b, true, true
	}
	return b, false, false // mixed case: only plain text gives it back as it was
}

func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// seal ends the record with its checksum.
func (r *record) seal(b bucket, key []byte) []byte {
	return binary.BigEndian.AppendUint32(*r, checksum(b, key, *r))
}

func checksum(b bucket, key, body []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // built once by the library
	sum := crc32.Update(0, table, []byte{byte(b)})
	sum = crc32.Update(sum, table, key)
	return crc32.Update(sum, table, body)
}

// millis is how a time is stored: Unix milliseconds, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of millis.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// stamp cuts a time to what is stored, so that what a caller is given now is
// what it will read later.
func stamp(t time.Time) time.Time { return fromMillis(millis(t)) }
