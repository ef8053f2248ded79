package apns

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a running simulator.
type lab struct {
	*providertest.Lab
	sim  *sim.Sim
	cred sim.Credentials
}

// newLab starts a simulator that ends with the test.
func newLab(t testing.TB, o sim.Options) *lab {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Address = l.Addr().String()
	s, err := sim.New(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the simulator ended with %v", err)
		}
	})
	return &lab{Lab: providertest.NewLab(t, o.Address), sim: s, cred: s.Credentials()}
}

// read gives the content of one of the simulator's credential files.
func (l *lab) read(t testing.TB, path string) diaphone.Secret {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return diaphone.Secret(text)
}

// config is the configuration that fits the simulator.
func (l *lab) config(t testing.TB) Config {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(l.read(t, l.cred.CAFile).Reveal())) {
		t.Fatal("the simulator's CA file has no certificate")
	}
	return Config{
		KeyPEM: l.read(t, l.cred.APNsKeyFile), KeyID: l.cred.KeyID, TeamID: l.cred.TeamID, Topic: l.cred.Topic,
		Environment: diaphone.Production, Host: l.Addr, RootCAs: roots,
	}
}

// open makes a provider that ends with the test.
func open(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}
