package webpush

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func decode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVector is the example of RFC 8291 §5 and appendix A, byte for byte.
func TestVector(t *testing.T) {
	key, err := ecdh.P256().NewPrivateKey(decode(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	to := diaphone.Subscription{
		Key:  decode(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
		Auth: decode(t, "BTBZMqHH6r4Tts7J_aSIgg"),
	}
	e := entropy{key: key, salt: [saltSize]byte(decode(t, "DGv6ra1nlYgDCS1FRnbzlw"))}
	message := []byte("When I grow up, I want to be a watermelon")
	body, err := encrypt(&to, message, len(message)+1, e)
	if err != nil {
		t.Fatal(err)
	}
	const want = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_" +
		"yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if got := base64.RawURLEncoding.EncodeToString(body); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// browser is a subscription's other half.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key: key, auth: make([]byte, 16)}
	_, _ = rand.Read(b.auth)
	return b
}

func (b *browser) subscription(endpoint string) diaphone.Secret {
	enc := base64.RawURLEncoding
	return diaphone.SubscriptionToken(endpoint, enc.EncodeToString(b.key.PublicKey().Bytes()), enc.EncodeToString(b.auth))
}

var errGarbled = errors.New("it cannot be decrypted")

// open decrypts what came, as RFC 8188 §2 and RFC 8291 §3 have it, and takes the
// padding off.
func (b *browser) open(body []byte) ([]byte, error) {
	if len(body) < headerSize || body[saltSize+4] != publicSize || binary.BigEndian.Uint32(body[saltSize:]) < uint32(len(body)-headerSize) {
		return nil, errGarbled
	}
	salt, theirs := body[:saltSize], body[saltSize+5:headerSize]
	sender, err := ecdh.P256().NewPublicKey(theirs)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(sender)
	if err != nil {
		return nil, err
	}
	derive := func(secret, salt []byte, info string, size int) []byte {
		out, _ := hkdf.Key(sha256.New, secret, salt, info, size)
		return out
	}
	ikm := derive(shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(theirs), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, derive(ikm, salt, "Content-Encoding: nonce\x00", 12), body[headerSize:], nil)
	if err != nil {
		return nil, err
	}
	plain = bytes.TrimRight(plain, "\x00")
	if len(plain) == 0 || plain[len(plain)-1] != lastRecord {
		return nil, errGarbled
	}
	return plain[:len(plain)-1], nil
}

func TestSizesAreBuckets(t *testing.T) {
	b := newBrowser(t)
	to, err := diaphone.ParseSubscription(b.subscription("https://example.com/x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 255, 256, 511, 512, 1023, 2047, 2048, maxMessage} {
		message := []byte(strings.Repeat("é", size)[:size])
		e, err := newEntropy()
		if err != nil {
			t.Fatal(err)
		}
		body, err := encrypt(&to, message, padded(message), e)
		if err != nil {
			t.Fatal(err)
		}
		record := len(body) - headerSize - tagSize
		if !slices.Contains(buckets, record) || len(body) > maxBody || record <= size {
			t.Errorf("%d bytes make a record of %d, a body of %d", size, record, len(body))
		}
		if plain, err := b.open(body); err != nil || !bytes.Equal(plain, message) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := newBrowser(t).open(body); err == nil {
			t.Error("another browser reads it")
		}
	}
}

func BenchmarkMessage(b *testing.B) {
	them := newBrowser(b)
	p := provider(b)
	to, err := diaphone.ParseSubscription(them.subscription("https://updates.push.services.mozilla.com/wpush/v2/x"))
	if err != nil {
		b.Fatal(err)
	}
	r, err := render(hello(), "https://example.com/", 60)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.request(b.Context(), &to, r, r.payload("0198c2a4-0000-7000-8000-000000000000"), now); err != nil {
			b.Fatal(err)
		}
	}
}
