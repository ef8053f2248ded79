package webpush

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/diaphone-dev/diaphone/sim/phone"
)

// Sizes of a message's header (RFC 8188 §2.1) and of its tags.
const (
	saltLen   = 16
	pointLen  = 65
	headerLen = saltLen + 4 + 1 + pointLen
	tagLen    = 16
	minRecord = tagLen + 2
)

// open decrypts a body as a browser does (RFC 8291, RFC 8188). The error says
// what a sender has done wrong.
func open(b *phone.Browser, body []byte) ([]byte, error) {
	if len(body) < headerLen+tagLen+1 {
		return nil, fmt.Errorf("%d bytes are no aes128gcm message", len(body))
	}
	salt, size, sender := body[:saltLen], binary.BigEndian.Uint32(body[saltLen:]), body[saltLen+5:headerLen]
	if body[saltLen+4] != pointLen {
		return nil, fmt.Errorf("the key id has %d bytes; it is the sender's public key, %d bytes", body[saltLen+4], pointLen)
	}
	if size < minRecord {
		return nil, fmt.Errorf("a record size of %d is less than %d", size, minRecord)
	}
	theirs, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, errors.New("the sender's public key is no point of P-256")
	}
	shared, err := b.Key.ECDH(theirs)
	if err != nil {
		return nil, err
	}
	gcm, nonce, err := contentKeys(b, shared, sender, salt)
	if err != nil {
		return nil, err
	}
	var plain []byte
	records := body[headerLen:]
	for n := uint64(0); len(records) > 0; n++ {
		record := records[:min(len(records), int(size))]
		records = records[len(record):]
		text, err := gcm.Open(nil, counted(nonce, n), record, nil)
		if err != nil {
			return nil, errors.New("it was not encrypted for this subscription, or it was damaged")
		}
		if text, err = unpad(text, len(records) == 0); err != nil {
			return nil, err
		}
		plain = append(plain, text...)
	}
	return plain, nil
}

// contentKeys derives key and nonce (RFC 8291 §3.4, RFC 8188 §2.2 and §2.3).
func contentKeys(b *phone.Browser, shared, sender, salt []byte) (cipher.AEAD, []byte, error) {
	info := "WebPush: info\x00" + string(b.Key.PublicKey().Bytes()) + string(sender)
	input, err := hkdf.Key(sha256.New, shared, b.Auth, info, sha256.Size)
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	gcm, err := cipher.NewGCM(block)
	return gcm, nonce, err
}

// counted is the nonce of a record: the base nonce with the record's number.
func counted(nonce []byte, n uint64) []byte {
	out := bytes.Clone(nonce)
	tail := out[len(out)-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^n)
	return out
}

// unpad takes the zeros and the delimiter off a record: 2 for the last one.
func unpad(text []byte, last bool) ([]byte, error) {
	text = bytes.TrimRight(text, "\x00")
	want := byte(1)
	if last {
		want = 2
	}
	if len(text) == 0 || text[len(text)-1] != want {
		return nil, errors.New("the padding's delimiter is missing or is not that of its record")
	}
	return text[:len(text)-1], nil
}
