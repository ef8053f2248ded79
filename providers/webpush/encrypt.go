package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/diaphone-dev/diaphone"
)

// Sizes of an encrypted message (RFC 8188 §2.1, RFC 8291 §4): one record behind
// a header of salt, record size and our public key.
const (
	maxBody     = 4096 // what a push service must take (RFC 8030 §7.2)
	saltSize    = 16
	publicSize  = 65
	headerSize  = saltSize + 4 + 1 + publicSize
	tagSize     = 16
	lastRecord  = 0x02 // behind the plaintext, before the padding
	maxMessage  = maxBody - headerSize - tagSize - 1
	recordLimit = maxBody
)

// buckets are the sizes that plaintexts with their delimiter are padded to: a
// push service learns a message's size from them and no more.
var buckets = []int{256, 512, 1024, 2048, maxMessage + 1}

// entropy is what makes a message unlike any other; it must never be used twice.
type entropy struct {
	key  *ecdh.PrivateKey
	salt [saltSize]byte
}

func newEntropy() (entropy, error) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return entropy{}, fmt.Errorf("make a key: %w", err)
	}
	e := entropy{key: key}
	_, _ = rand.Read(e.salt[:]) // never fails
	return e, nil
}

// padded gives the bucket of a message with its delimiter.
func padded(message []byte) int {
	size := len(message) + 1
	if at := slices.IndexFunc(buckets, func(b int) bool { return b >= size }); at >= 0 {
		return buckets[at]
	}
	return size
}

// encrypt makes the body of a push to the browser (RFC 8291, aes128gcm), of a
// message that is padded to the size.
func encrypt(to *diaphone.Subscription, message []byte, size int, e entropy) ([]byte, error) {
	browser, err := ecdh.P256().NewPublicKey(to.Key)
	if err != nil {
		return nil, fmt.Errorf("read the subscription's key: %w", err)
	}
	shared, err := e.key.ECDH(browser)
	if err != nil {
		return nil, fmt.Errorf("agree on a key: %w", err)
	}
	ours := e.key.PublicKey().Bytes()
	seal, nonce, err := deriveKeys(shared, to, ours, e.salt[:])
	if err != nil {
		return nil, err
	}
	body := make([]byte, headerSize, headerSize+size+tagSize)
	copy(body, e.salt[:])
	binary.BigEndian.PutUint32(body[saltSize:], recordLimit)
	body[saltSize+4] = publicSize
	copy(body[saltSize+5:], ours)

	record := body[headerSize : headerSize+size]
	copy(record, message)
	record[len(message)] = lastRecord
	return seal.Seal(body[:headerSize], nonce, record, nil), nil
}

// deriveKeys gives the cipher and its nonce (RFC 8291 §3.4).
func deriveKeys(shared []byte, to *diaphone.Subscription, ours, salt []byte) (cipher.AEAD, []byte, error) {
	info := slices.Concat([]byte("WebPush: info\x00"), to.Key, ours)
	ikm, err := hkdf.Key(sha256.New, shared, to.Auth, string(info), sha256.Size)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the input key: %w", err)
	}
	root, err := hkdf.Extract(sha256.New, ikm, salt)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the root key: %w", err)
	}
	key, err := hkdf.Expand(sha256.New, root, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the content key: %w", err)
	}
	nonce, err := hkdf.Expand(sha256.New, root, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the nonce: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the cipher: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("make the cipher: %w", err)
	}
	return seal, nonce, nil
}
