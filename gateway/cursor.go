package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/diaphone-dev/diaphone"
)

// cursor makes and reads the opaque cursors of one list of the live side, which go by
// name: one is the name behind which the next page begins. A checksum over the list
// and the name refuses a cursor of another list, or one that was invented.
type cursor string

// text gives the cursor of a name; empty for the empty name, at the end of the list.
func (c cursor) text(name string) string {
	if name == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32([]byte(name), c.sum(name)))
}

// parse gives the name; the empty cursor is that of the beginning.
func (c cursor) parse(text string) (name string, err error) {
	if text == "" {
		return "", nil
	}
	const sum = 4 // bytes
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil && len(b) > sum {
		name = string(b[:len(b)-sum])
		if binary.BigEndian.Uint32(b[len(b)-sum:]) == c.sum(name) {
			return name, nil
		}
	}
	return "", diaphone.InvalidField("/cursor", "malformed", "the cursor is not one that this list gave: begin without one")
}

func (c cursor) sum(name string) uint32 {
	return crc32.ChecksumIEEE([]byte(string(c) + "\x00" + name))
}

// detailOf gives the part of an error that a caller may see.
func detailOf(err error) string {
	var e *diaphone.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}
