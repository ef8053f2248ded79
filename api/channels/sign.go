package channels

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// signer makes and checks signatures of one key. All of Pusher's are lower-case hex of
// HMAC-SHA256. It is safe for concurrent use.
type signer struct{ states sync.Pool } // of *signing

// signing is a hash that has taken the key in, which is half of the work, and what one
// signature needs beside it.
type signing struct {
	mac hash.Hash
	sum [sha256.Size]byte
	hex [2 * sha256.Size]byte
}

func newSigner(secret diaphone.Secret) *signer {
	return &signer{states: sync.Pool{New: func() any {
		return &signing{mac: hmac.New(sha256.New, []byte(secret.Reveal()))}
	}}}
}

// signers of all keys, by the key.
func signers(apps []*diaphone.App) map[string]*signer {
	all := map[string]*signer{}
	for _, a := range apps {
		for _, k := range a.Keys {
			all[k.Key] = newSigner(k.Secret)
		}
	}
	return all
}

// signed tells whether a signature is that of the text.
func (s *signer) signed(text []byte, signature string) bool {
	with := s.states.Get().(*signing)
	defer s.states.Put(with)
	return equal(signature, with.sign(text))
}

// sign gives the signature of a text, valid until the next.
func (s *signing) sign(text []byte) []byte {
	s.mac.Reset()
	s.mac.Write(text)
	hex.Encode(s.hex[:], s.mac.Sum(s.sum[:0]))
	return s.hex[:]
}

// equal compares in constant time. Hex counts in lower case only.
func equal(sent string, want []byte) bool { return subtle.ConstantTimeCompare([]byte(sent), want) == 1 }

// channelText is what a subscription signs: the received bytes of channel_data,
// when there is any, on every kind of channel.
func channelText(socket diaphone.SocketID, channel diaphone.ChannelName, data string) string {
	text := string(socket) + ":" + string(channel)
	if data != "" {
		text += ":" + data
	}
	return text
}

// userText is what a sign-in signs.
func userText(socket diaphone.SocketID, data string) string {
	return string(socket) + "::user::" + data
}

// appendRequestText writes what an HTTP request signs: all query parameters but the
// signature, with lower-case names in order, and values as they are when decoded.
func appendRequestText(b []byte, method, path string, q query) []byte {
	b = append(append(b, method...), '\n')
	b = append(append(b, path...), '\n')
	first := true
	for _, p := range q {
		if p.name == paramSignature {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		b = append(append(b, p.name...), '=')
		b = append(b, p.value...)
		first = false
	}
	return b
}
