package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificateEvery is how often the files of the certificate are looked at.
const certificateEvery = 10 * time.Second

// certificate is the one that the listener shows. A renewal needs no restart: the
// files are read again when they change, and when somebody asks.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu   sync.Mutex // one reading at a time
	seen [2]stamp   // of the files when they were last read, good or bad
}

// stamp tells one state of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

func newCertificate(c *Config, log *slog.Logger) (*certificate, error) {
	k := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, log: log}
	pair, err := k.read()
	if err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	k.use(pair)
	return k, nil
}

// CheckCertificate tells whether the certificate of the configuration, if there is
// one, could be served.
func (c *Config) CheckCertificate() error {
	if c.TLSCert == "" {
		return nil
	}
	_, err := newCertificate(c, slog.New(slog.DiscardHandler))
	return err
}

// config is for a server that speaks HTTP/2 and 1.1; WebSockets go over the latter.
func (k *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current.Load(), nil },
	}
}

// read reads the pair, and remembers which state of the files it was.
func (k *certificate) read() (*tls.Certificate, error) {
	k.seen = k.stamps()
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", k.certFile, k.keyFile, err)
	}
	return &pair, nil
}

func (k *certificate) stamps() [2]stamp { return [2]stamp{stampOf(k.certFile), stampOf(k.keyFile)} }

func (k *certificate) use(pair *tls.Certificate) {
	k.current.Store(pair)
	attrs := []any{"file", k.certFile, "names", pair.Leaf.DNSNames, "expires", pair.Leaf.NotAfter}
	if expired(pair) {
		k.log.Error("the certificate has expired: clients will refuse it; renew it, the files are read again by themselves", attrs...)
		return
	}
	k.log.Info("certificate in use", attrs...)
}

func expired(pair *tls.Certificate) bool { return time.Now().After(pair.Leaf.NotAfter) }

// reload reads the files again. A pair that is no better than the one in use is
// refused, and the one in use stays.
func (k *certificate) reload() {
	k.mu.Lock()
	defer k.mu.Unlock()
	pair, err := k.read()
	if err == nil && expired(pair) && !expired(k.current.Load()) {
		err = errors.New("the new certificate has expired")
	}
	if err != nil {
		k.log.Error("the new certificate is refused, the old one stays in use: put a certificate and its key there, both PEM; they are read again when they change",
			"error", err, "expires", k.current.Load().Leaf.NotAfter)
		return
	}
	k.use(pair)
}

func (k *certificate) changed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stamps() != k.seen
}

// watch reloads when the files have changed, until ctx ends. It polls: files are
// renamed, linked and mounted in more ways than notifications know.
func (k *certificate) watch(ctx context.Context) {
	ticker := time.NewTicker(certificateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if k.changed() {
				k.reload()
			}
		case <-ctx.Done():
			return
		}
	}
}
