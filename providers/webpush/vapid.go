package webpush

import (
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone/providers/internal/es256"
)

// A token is good for one push service and at most a day (RFC 8292 §2). As with
// APNs they are issued by the clock, in windows, and signed deterministically, so
// that every node of a fleet presents the same one. A token has 12 to 18 hours to
// live when it is used, which leaves six for clocks that disagree.
const (
	window   = 6 * time.Hour
	lifetime = 18 * time.Hour
)

// maxOrigins bounds the tokens that are kept. Browsers use a handful of push
// services; that there are more is somebody's doing, and costs a signature each.
const maxOrigins = 256

// signer makes the Authorization headers: one signature a window and push service.
type signer struct {
	key     *ecdsa.PrivateKey
	public  string // as pages give it to subscribe: base64url of the uncompressed point
	subject string

	mu      sync.Mutex
	issued  time.Time
	headers map[string]string // by origin
}

func newSigner(key *ecdsa.PrivateKey, subject string) (*signer, error) {
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("read the VAPID key: %w", err)
	}
	return &signer{key: key, subject: subject, public: base64.RawURLEncoding.EncodeToString(public)}, nil
}

// header gives the value of Authorization for a push service.
func (s *signer) header(origin string, now time.Time) (string, error) {
	issued := now.Truncate(window)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !issued.Equal(s.issued) || len(s.headers) >= maxOrigins {
		s.issued, s.headers = issued, map[string]string{}
	}
	if h, ok := s.headers[origin]; ok {
		return h, nil
	}
	jwt, err := es256.Token(s.key, []byte(`{"typ":"JWT","alg":"ES256"}`),
		fmt.Appendf(nil, `{"aud":%q,"exp":%d,"sub":%q}`, origin, issued.Add(lifetime).Unix(), s.subject))
	if err != nil {
		return "", err
	}
	h := "vapid t=" + jwt + ", k=" + s.public
	s.headers[origin] = h
	return h, nil
}
