// Package apns simulates Apple's push service: HTTP/2 over TLS as its provider
// API speaks it, down to the frames, with every check that Apple documents. The
// phones live in package phone, the listeners in package sim.
//
// It has a connection loop of its own because net/http's server can neither send
// a second SETTINGS frame, by which APNs lifts its limit of one stream, nor a
// GOAWAY with APNs' JSON.
package apns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/sim/stats"
)

// DefaultMaxStreams is the stream limit after the first authorised request, as
// seen of APNs (sideshow/apns2#117).
const DefaultMaxStreams = 1000

// Options are what a Server needs to know. Keys are the provider keys it trusts,
// Issuers those of senders' certificates (nil: nobody's are good); MaxStreams is
// DefaultMaxStreams if zero.
type Options struct {
	Keys       []Key
	Issuers    *x509.CertPool
	MaxStreams int
	Fleet      *phone.Fleet
	Faults     *fault.Plan
	Meter      *stats.Meter
}

// Server is a simulated APNs. It starts no goroutine before ServeConn.
type Server struct {
	verifier   *verifier
	issuers    *x509.CertPool
	words      *fault.Vocabulary
	maxStreams int
	fleet      *phone.Fleet
	faults     *fault.Plan
	meter      *stats.Meter

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing bool
	serving sync.WaitGroup
}

// New returns a Server.
func New(o Options) *Server {
	if o.MaxStreams <= 0 {
		o.MaxStreams = DefaultMaxStreams
	}
	return &Server{
		verifier: newVerifier(o.Keys), issuers: o.Issuers, words: vocabulary(), maxStreams: o.MaxStreams,
		fleet: o.Fleet, faults: o.Faults, meter: o.Meter,
		conns: map[*conn]struct{}{},
	}
}

// ServeConn serves a connection whose TLS handshake is done and agreed on h2,
// until either side ends it. env is the half of APNs that it stands for, unless a
// request names one of Apple's hosts. It closes tc.
func (s *Server) ServeConn(tc *tls.Conn, env phone.Environment) {
	c := newConn(s, tc, env)
	if !s.enter(c) {
		tc.Close() //nolint:errcheck // nothing was said yet
		return
	}
	defer s.leave(c)
	s.meter.Connected()
	c.serve()
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	s.serving.Add(1)
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.serving.Done()
}

// Shutdown sends GOAWAY to every connection, answers what is in flight, closes
// what is left when ctx ends, and returns when all of ServeConn did.
func (s *Server) Shutdown(ctx context.Context) {
	for _, c := range s.close() {
		c.goAway(shutdown)
	}
	done := make(chan struct{})
	go func() { s.serving.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	for _, c := range s.close() {
		c.tls.NetConn().Close() //nolint:errcheck // it only has to end
	}
	<-done
}

// close admits no further connections and returns those there are.
func (s *Server) close() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	out := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c)
	}
	return out
}

// nameOf returns the name of the phone a request is for, or "".
func (s *Server) nameOf(r *request) string {
	if p, _ := s.fleet.Find(r.device); p != nil {
		return p.Name
	}
	return ""
}
