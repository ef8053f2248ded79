package diaphone

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// AppID names a tenant, for example "1". It is the first part of every storage
// key, cache key and metric. Pusher's server SDKs want it numeric
// (ClientFromURL of the Go SDK checks ^[0-9]+$); we recommend but do not ask it.
type AppID string

// UserID is the backend's own id of a person, for example "ana".
type UserID string

// DeviceID is one installation of an app, for example "ana-iphone". The backend
// or the app chooses it; it stays while tokens come and go.
type DeviceID string

// ChannelName is a name that events and notifications are published to, for
// example "news" or "private-chat-7".
type ChannelName string

// SocketID names one live connection, for example "218.77341". Every Pusher SDK
// validates it against ^\d+\.\d+$. It is the nonce of channel signatures.
type SocketID string

// MessageID names one accepted message, for example
// "msg_06f3k9q2v8c7h0a1b2c3d4e5f6": "msg_" and a UUIDv7 (RFC 9562) in lower-case
// base32hex, so that ids sort by the time they were made.
type MessageID string

const messagePrefix = "msg_"

// idText is base32hex in lower case: unlike plain base32 and base64 its text sorts as
// its bytes do.
var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// NewMessageID makes an id of the given time. It is safe for concurrent use.
func NewMessageID(now time.Time) MessageID {
	b := newUUIDv7(now)
	return MessageIDFromBytes(b)
}

// MessageIDFromBytes is the inverse of MessageID.Bytes.
func MessageIDFromBytes(b [16]byte) MessageID {
	return MessageID(prefixed(messagePrefix, b))
}

// Bytes gives the 16 bytes of the UUID; ok is false when the text is no message id.
func (id MessageID) Bytes() (b [16]byte, ok bool) {
	text, found := strings.CutPrefix(string(id), messagePrefix)
	raw, err := idText.DecodeString(text)
	if !found || err != nil || len(raw) != len(b) {
		return b, false
	}
	copy(b[:], raw)
	return b, MessageIDFromBytes(b) == id
}

// prefixed gives the text of an id.
func prefixed(prefix string, b [16]byte) string {
	text := make([]byte, 0, 32) // no longer than this, and so not on the heap
	return string(idText.AppendEncode(append(text, prefix...), b[:]))
}

// newUUIDv7 lays out 48 bits of Unix milliseconds, then random bits (RFC 9562 §5.7).
func newUUIDv7(now time.Time) [16]byte {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return b
}

const noticePrefix = "ntc_"

// NewNoticeID makes the id of a notice, for example
// "ntc_06f3k9q2v8c7h0a1b2c3d4e5f6", of the same make as a MessageID.
func NewNoticeID(now time.Time) string {
	return prefixed(noticePrefix, newUUIDv7(now))
}

// DeliveryID is the one stable id of what one message owes to one device. Every
// attempt carries it: as apns-id, and as "_nid" in the payload, so that an app
// can drop a duplicate. It is a UUID of version 8 (RFC 9562 §5.8) in canonical
// lower case, as Apple asks of apns-id.
func DeliveryID(m MessageID, d DeviceID) string {
	sum := sha256.Sum256([]byte(string(m) + "\x00" + string(d)))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}
