package sim_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// subscription is what a browser gives to its page.
type subscription struct {
	Endpoint string
	Keys     struct{ P256DH, Auth string }
}

// browser adds a simulated browser.
func (b *lab) browser(name string) subscription {
	b.t.Helper()
	var d struct{ Subscription subscription }
	b.ok(&d, "POST", "/sim/devices", `{"name":"`+name+`","platform":"web"}`)
	return d.Subscription
}

// vapid makes the claims of a good token; changes are claims to set, or with nil
// to leave out.
func (b *lab) vapid(key *ecdsa.PrivateKey, changes map[string]any) string {
	b.t.Helper()
	claims := map[string]any{"aud": "http://" + b.addr, "exp": time.Now().Add(time.Hour).Unix(), "sub": "mailto:ops@example.com"}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	public, err := key.PublicKey.Bytes()
	must(b.t, err)
	return "vapid t=" + signParts(b.t, key, map[string]any{"typ": "JWT", "alg": "ES256"}, claims) + ", k=" + b64(public)
}

func decode64(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	must(t, err)
	return raw
}

// seal encrypts for a browser, in records of the size (RFC 8188, RFC 8291).
func seal(t testing.TB, to subscription, plain []byte, size int) []byte {
	t.Helper()
	ours, err := ecdh.P256().GenerateKey(rand.Reader)
	must(t, err)
	theirs, err := ecdh.P256().NewPublicKey(decode64(t, to.Keys.P256DH))
	must(t, err)
	shared, err := ours.ECDH(theirs)
	must(t, err)
	derive := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		must(t, err)
		return out
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	input := derive(shared, decode64(t, to.Keys.Auth), "WebPush: info\x00"+string(theirs.Bytes())+string(ours.PublicKey().Bytes()), 32)
	block, err := aes.NewCipher(derive(input, salt, "Content-Encoding: aes128gcm\x00", 16))
	must(t, err)
	gcm, err := cipher.NewGCM(block)
	must(t, err)
	nonce := derive(input, salt, "Content-Encoding: nonce\x00", 12)

	body := append(bytes.Clone(salt), binary.BigEndian.AppendUint32(nil, uint32(size))...)
	body = append(append(body, 65), ours.PublicKey().Bytes()...)
	for n := uint64(0); ; n++ {
		part := plain[:min(len(plain), size-17)]
		plain = plain[len(part):]
		delimiter := byte(1)
		if len(plain) == 0 {
			delimiter = 2
		}
		counted := bytes.Clone(nonce)
		binary.BigEndian.PutUint64(counted[4:], binary.BigEndian.Uint64(nonce[4:])^n)
		body = gcm.Seal(body, counted, append(bytes.Clone(part), delimiter), nil)
		if delimiter == 2 {
			return body
		}
	}
}

// refused is an error of the push service.
type refused struct {
	status int
	header http.Header
	Code   int
	Errno  int
	Text   string `json:"message"`
}

// post sends a body to an endpoint; changes are headers to set, or with an empty
// value to leave out.
func (b *lab) post(endpoint string, body []byte, changes ...string) refused {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, endpoint, bytes.NewReader(body))
	must(b.t, err)
	r.Header.Set("Authorization", b.vapid(readP8(b.t, b.cred.VAPIDKeyFile), nil))
	r.Header.Set("TTL", "60")
	r.Header.Set("Content-Encoding", "aes128gcm")
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			r.Header.Del(changes[i])
		} else {
			r.Header.Set(changes[i], changes[i+1])
		}
	}
	res, err := b.http.Do(r)
	must(b.t, err)
	out := refused{status: res.StatusCode, header: res.Header}
	if text := readAll(b.t, res); text != "" {
		must(b.t, json.Unmarshal([]byte(text), &out))
	}
	return out
}

// notify sends a declarative notification with the title.
func (b *lab) notify(to subscription, title string, ttl int, topic string) refused {
	b.t.Helper()
	body := seal(b.t, to, []byte(`{"web_push":8030,"notification":{"title":"`+title+`","navigate":"https://example.com/"}}`), 4096)
	return b.post(to.Endpoint, body, "TTL", strconv.Itoa(ttl), "Topic", topic)
}

// agent is the push side of a real browser.
type agent struct {
	t    testing.TB
	conn interface {
		Close() error
		SetReadDeadline(time.Time) error
		Read([]byte) (int, error)
		Write([]byte) (int, error)
	}
}

func (b *lab) agent() *agent {
	b.t.Helper()
	dialer := ws.Dialer{Protocols: []string{"push-notification"}, Timeout: bound}
	conn, _, hs, err := dialer.Dial(context.Background(), "ws://"+b.addr+"/push")
	must(b.t, err)
	if hs.Protocol != "push-notification" {
		b.t.Errorf("subprotocol %q", hs.Protocol)
	}
	b.t.Cleanup(func() { conn.Close() })
	return &agent{t: b.t, conn: conn}
}

func (a *agent) say(text string) {
	a.t.Helper()
	must(a.t, wsutil.WriteClientText(a.conn, []byte(text)))
}

// heard is what the push service says to a browser.
type heard struct {
	MessageType, UAID, ChannelID, PushEndpoint, Version, Data string
	Status                                                    int
	Headers                                                   map[string]string
}

func (a *agent) hear() heard {
	a.t.Helper()
	_ = a.conn.SetReadDeadline(time.Now().Add(bound))
	text, err := wsutil.ReadServerText(a.conn)
	must(a.t, err)
	var h heard
	must(a.t, json.Unmarshal(text, &h))
	return h
}
