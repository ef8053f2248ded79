// Package egress is the only way out to addresses that users name: webhooks,
// and the endpoints of Web Push subscriptions. Without it a user could have the
// gateway talk to the machines behind its firewall, or to itself.
//
// A URL is judged twice. Check reads it when it is registered, so that whoever
// registers it hears of the fault. A Client judges it again at every request,
// and then each address that its host resolves to, for what a name stands for
// can change at any time.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrForbidden is in the chain of every error of a request that the guard has
// refused. Nothing was sent then.
var ErrForbidden = errors.New("the egress guard forbids it")

// Bounds on a connection. The whole of a request is bounded by the timeout of
// its Client.
const (
	dialTimeout      = 3 * time.Second
	handshakeTimeout = 3 * time.Second
	idleTimeout      = 90 * time.Second
	maxHeaderBytes   = 32 << 10
	perHost          = 16 // connections; further requests wait for one
)

// Config says what a Guard lets out beyond the public internet.
type Config struct {
	// Allow are ranges that are let through though they are not public, for the
	// operator's own machines. A host inside may be named by its literal address
	// (or localhost), and may then speak plain http.
	Allow []netip.Prefix
	// RootCAs verify the servers; nil: the system's.
	RootCAs *x509.CertPool
	// Refused is called for each request that is refused; nil: nobody counts. It
	// may be called concurrently and must not block.
	Refused func()
}

// Guard decides where requests may go. It is safe for concurrent use.
type Guard struct {
	allow    []netip.Prefix
	roots    *x509.CertPool
	hosts    []string // when set, only these and what is under them
	refused  func()
	resolver *net.Resolver // nil: the system's
}

// New makes a Guard.
func New(c Config) *Guard {
	g := &Guard{refused: c.Refused, roots: c.RootCAs}
	for _, p := range c.Allow {
		g.allow = append(g.allow, p.Masked())
	}
	if g.refused == nil {
		g.refused = func() {}
	}
	return g
}

// Only gives a Guard that lets out to these hosts and those under them, on port
// 443. A literal address or localhost passes only if it is among them itself: then
// Allow decides as before.
func (g *Guard) Only(hosts ...string) *Guard {
	narrow := *g
	narrow.hosts = slices.Clone(hosts)
	return &narrow
}

// Client gives an HTTP client whose requests all pass the guard. The timeout is
// for a whole request, from the dial to the last byte of the answer's body, whose
// length the caller bounds: see Drain. It follows no redirect (the caller gets
// the 3xx), takes no proxy from the environment and inflates nothing. It keeps
// connections of its own, at most 16 to a host; CloseIdleConnections ends them.
func (g *Guard) Client(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: g.control, Resolver: g.resolver}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.roots},
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxConnsPerHost:        perHost,
		MaxIdleConnsPerHost:    perHost,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{
		Transport:     &gate{guard: g, Transport: t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
}

// gate has every request checked on its way to the transport: what was allowed
// when it was registered need not be so any more.
type gate struct {
	guard *Guard
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.guard.check(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		t.guard.refused()
		return nil, fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return t.Transport.RoundTrip(r)
}

// control is asked for each address that a host has resolved to, right before
// the connection is made: nothing can change in between.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && g.admits(at.Addr()) {
		return nil
	}
	g.refused()
	return fmt.Errorf("%w: the host resolves to %s, which is not public; --egress-allow-cidr lets a range through", ErrForbidden, address)
}

// Drain reads at most limit bytes of an answer's body and closes it. A
// connection whose answer was no longer than that is used again.
func Drain(r *http.Response, limit int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, limit))
	_ = r.Body.Close()
}
