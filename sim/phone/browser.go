package phone

import (
	"crypto/ecdh"
	"encoding/base64"
	"slices"
)

// maxHeld is how many messages a push service keeps for a browser that is away,
// as Mozilla's does.
const maxHeld = 100

// Browser is what a browser keeps of its subscription to itself.
type Browser struct {
	Key  *ecdh.PrivateKey
	Auth []byte
}

// newBrowser makes the keys that a browser of the name always has.
func newBrowser(name string) *Browser {
	const size = 32
	all := derive("web key", name, 4*size)
	for raw := range slices.Chunk(all, size) { // nearly every number is a key
		if key, err := ecdh.P256().NewPrivateKey(raw); err == nil {
			return &Browser{Key: key, Auth: derive("web auth", name, 16)}
		}
	}
	panic("no key in 128 bytes, which cannot be")
}

// Keys gives the subscription's "p256dh" and "auth" as pages get them.
func (b *Browser) Keys() (p256dh, auth string) {
	enc := base64.RawURLEncoding
	return enc.EncodeToString(b.Key.PublicKey().Bytes()), enc.EncodeToString(b.Auth)
}

func webToken(name string) string {
	return base64.RawURLEncoding.EncodeToString(derive(string(Web), name, 48))
}

// keepTopics is the rule of RFC 8030 §5.4: a message replaces the one of its
// topic. When there are too many the oldest makes room.
func (b *backlog) keepTopics(m Push) {
	if m.Collapse != "" {
		b.waiting = slices.DeleteFunc(b.waiting, func(old Push) bool { return old.Collapse == m.Collapse })
	}
	if len(b.waiting) == maxHeld {
		b.waiting = slices.Delete(b.waiting, 0, 1)
	}
	b.waiting = append(b.waiting, m)
}
