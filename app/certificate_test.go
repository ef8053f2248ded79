package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a self-signed certificate and its key, both PEM.
func pair(t *testing.T, name string, ends time.Time) (cert, key []byte) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: ends.Add(-48 * time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// shelf is a folder with a certificate that can be changed, and the log of who reads it.
type shelf struct {
	t   *testing.T
	c   Config
	log bytes.Buffer
}

func newShelf(t *testing.T) *shelf {
	dir := t.TempDir()
	return &shelf{t: t, c: Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}}
}

func (s *shelf) put(cert, key []byte) {
	s.t.Helper()
	for path, text := range map[string][]byte{s.c.TLSCert: cert, s.c.TLSKey: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *shelf) open() (*certificate, error) {
	return newCertificate(&s.c, slog.New(slog.NewTextHandler(&s.log, nil)))
}

func shown(t *testing.T, k *certificate) string {
	t.Helper()
	c, err := k.config().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.DNSNames[0]
}

func TestACertificateIsRenewed(t *testing.T) {
	s := newShelf(t)
	soon := time.Now().Add(time.Hour)
	s.put(pair(t, "first", soon))
	k, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	s.put(pair(t, "second", soon))
	if got := shown(t, k); got != "first" {
		t.Errorf("%s is shown before anybody asked", got)
	}
	k.reload()
	if got := shown(t, k); got != "second" {
		t.Errorf("%s is shown after the renewal", got)
	}
}

func TestABadRenewalIsRefused(t *testing.T) {
	s := newShelf(t)
	soon := time.Now().Add(time.Hour)
	cert, key := pair(t, "good", soon)
	s.put(cert, key)
	k, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	otherCert, otherKey := pair(t, "other", soon)
	lateCert, lateKey := pair(t, "late", time.Now().Add(-time.Hour))
	for says, p := range map[string][2][]byte{
		"does not match":    {otherCert, key},
		"failed to find":    {[]byte("canary"), otherKey},
		"find any PEM data": {otherCert, []byte("canary")},
		"has expired":       {lateCert, lateKey},
	} {
		s.log.Reset()
		s.put(p[0], p[1])
		k.reload()
		if got := shown(t, k); got != "good" {
			t.Errorf("%s: %s is shown", says, got)
		}
		if log := s.log.String(); !strings.Contains(log, says) || !strings.Contains(log, "the old one stays") || strings.Contains(log, "canary") {
			t.Errorf("%s: the log says %s", says, log)
		}
	}
	s.put(otherCert, otherKey)
	k.reload()
	if got := shown(t, k); got != "other" {
		t.Errorf("%s is shown after a good renewal", got)
	}
}

func TestTheFilesAreWatched(t *testing.T) {
	s := newShelf(t)
	ends := time.Now().Add(time.Hour)
	cert, key := pair(t, "first", ends)
	next, nextKey := pair(t, "a name of another length", ends)
	s.put(cert, key)
	synctest.Test(t, func(t *testing.T) {
		k, err := s.open()
		if err != nil {
			t.Fatal(err)
		}
		var watching sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		watching.Go(func() { k.watch(ctx) })
		defer watching.Wait()
		defer cancel()
		time.Sleep(2 * certificateEvery) //nolint:forbidigo // of the bubble
		synctest.Wait()
		before := s.log.Len()
		s.put(next, key)                 // half of a renewal
		time.Sleep(3 * certificateEvery) //nolint:forbidigo // of the bubble
		synctest.Wait()
		if got := shown(t, k); got != "first" {
			t.Errorf("%s is shown in the middle of the renewal", got)
		}
		if n := strings.Count(s.log.String()[before:], "refused"); n != 1 {
			t.Errorf("refused %d times", n)
		}
		s.put(next, nextKey)
		time.Sleep(2 * certificateEvery) //nolint:forbidigo // of the bubble
		if got := shown(t, k); got == "first" {
			t.Error("the old certificate is shown after the renewal")
		}
	})
}

func TestACertificateThatCannotBeServed(t *testing.T) {
	s := newShelf(t)
	if err := s.c.CheckCertificate(); err == nil || !strings.Contains(err.Error(), "--tls-cert") || !strings.Contains(err.Error(), s.c.TLSCert) {
		t.Errorf("files that are not there: %v", err)
	}
	if err := (&Config{}).CheckCertificate(); err != nil {
		t.Errorf("no certificate: %v", err)
	}
	s.put(pair(t, "late", time.Now().Add(-time.Hour)))
	if _, err := s.open(); err != nil || !strings.Contains(s.log.String(), "expired") {
		t.Errorf("an expired certificate at the start: %v, and the log says %s", err, &s.log)
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	good := Config{Listen: "127.0.0.1:0", StopWithin: time.Minute, Retention: 48 * time.Hour}
	for part, edit := range map[string]func(*Config){
		"--tls-cert and --tls-key belong together": func(c *Config) { c.TLSCert = "x" },
		"--tls-cert and --tls-key belong":          func(c *Config) { c.TLSKey = "x" },
		`--path-prefix "push"`:                     func(c *Config) { c.PathPrefix = "push" },
		`--path-prefix "/"`:                        func(c *Config) { c.PathPrefix = "/" },
		`--path-prefix "/a/../b"`:                  func(c *Config) { c.PathPrefix = "/a/../b" },
		`--path-prefix "/a b"`:                     func(c *Config) { c.PathPrefix = "/a b" },
		`--trusted-proxies "10.0.0.0/33"`:          func(c *Config) { c.Proxies = []string{"10.0.0.0/33"} },
		`--trusted-proxies "proxy.example"`:        func(c *Config) { c.Proxies = []string{"10.0.0.1", "proxy.example"} },
	} {
		c := good
		edit(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
	good.PathPrefix, good.Proxies = "/push/v2", []string{"10.0.0.7", "192.0.2.9/24", "fd00::/8"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	networks, err := good.trustedProxies()
	if err != nil || len(networks) != 3 || networks[0].String() != "10.0.0.7/32" || networks[1].String() != "192.0.2.0/24" {
		t.Errorf("%v, %v", networks, err)
	}
}
