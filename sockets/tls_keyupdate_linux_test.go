package sockets

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// sealer is the sending half of a TLS 1.3 client, which can do what crypto/tls
// does not: ask for new keys (RFC 8446 §5.2, §7.2, §7.3).
type sealer struct {
	t      *testing.T
	secret []byte
	count  uint64 // records sealed under the secret
}

func (s *sealer) expand(label string, length int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(append(append(info, byte(len(label))), label...), 0)
	out, err := hkdf.Expand(sha256.New, s.secret, string(info), length)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *sealer) seal(kind byte, payload []byte) []byte {
	block, err := aes.NewCipher(s.expand("key", 16))
	if err != nil {
		s.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		s.t.Fatal(err)
	}
	nonce := s.expand("iv", 12)
	for i, b := range binary.BigEndian.AppendUint64(nil, s.count) {
		nonce[4+i] ^= b
	}
	s.count++
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(payload)+1+aead.Overhead()))
	return aead.Seal(head, nonce, append(bytes.Clone(payload), kind), head)
}

func (s *sealer) next() { s.secret, s.count = s.expand("traffic upd", sha256.Size), 0 }

// records counts those that carry application data, or look like it.
type records struct {
	net.Conn
	count uint64
}

func (r *records) Write(p []byte) (int, error) {
	for rest := p; len(rest) >= 5; {
		if rest[0] == 23 {
			r.count++
		}
		rest = rest[min(len(rest), 5+int(binary.BigEndian.Uint16(rest[3:]))):]
	}
	return r.Conn.Write(p)
}

// A client may ask for new keys at any time, and gets them also while it does not
// read: the answer takes its turn behind the rest of a record.
func TestKeyUpdate(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		s := startTLS(t, New(Config{Poller: PollerEpoll, Backlog: 32 << 20}), nil)
		var log bytes.Buffer
		var raw *records
		d := s.dialer()
		d.TLSConfig.KeyLogWriter = &log
		d.TLSConfig.MinVersion = tls.VersionTLS13
		d.NetDial = dialThrough(func(sock net.Conn) net.Conn { raw = &records{Conn: sock}; return raw })
		p := dialWith(t, s, d)
		if suite := p.Conn.(*tls.Conn).ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
			t.Fatalf("%s was chosen: this test is for machines that have AES", tls.CipherSuiteName(suite))
		}
		// The first that looks like application data is the client's Finished.
		mine := &sealer{t: t, secret: secretIn(t, log.String(), "CLIENT_TRAFFIC_SECRET_0"), count: raw.count - 1}
		c := wait(t, "the connection", s.conns)
		sent := 0
		for waiting := 0; stuck && waiting < 1<<20; sent++ {
			if err := c.Send(Text([]byte(strings.Repeat("s", 5000)))); err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			waiting = c.out.waiting
			c.mu.Unlock()
		}
		const handshake, data, keyUpdate, requested = 22, 23, 24, 1
		for i := range 3 {
			all := mine.seal(handshake, []byte{keyUpdate, 0, 0, 1, requested})
			mine.next()
			text := strings.Repeat("k", i)
			all = append(all, mine.seal(data, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(text)))))...)
			if _, err := raw.Conn.Write(all); err != nil {
				t.Fatal(err)
			}
		}
		for range sent {
			p.hear(strings.Repeat("s", 5000))
		}
		for i := range 3 {
			p.hear(strings.Repeat("k", i))
		}
	}
}

func secretIn(t *testing.T, log, label string) []byte {
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); f[0] == label {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no %s in the key log", label)
	return nil
}
