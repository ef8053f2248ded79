package providertest

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// AccessToken is what the vendor's OAuth endpoint, /token, hands out.
const AccessToken = "ya29.canary-Access-Token_0123456789abcdefghijklmnop"

// Vendor is a server that answers whatever a test tells it to.
type Vendor struct {
	URL   string         // scheme://host:port
	Addr  string         // host:port
	Roots *x509.CertPool // nil without TLS

	server *httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	oauth  atomic.Pointer[http.HandlerFunc]
	pushes atomic.Int64

	mu   sync.Mutex
	seen []string // credentials that were presented
}

// NewVendor starts a server that ends with the test; with TLS it speaks HTTP/2.
func NewVendor(t testing.TB, tls bool) *Vendor {
	t.Helper()
	v := &Vendor{}
	v.OAuth(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":3599,"token_type":"Bearer"}`, AccessToken)
	})
	v.server = httptest.NewUnstartedServer(http.HandlerFunc(v.serve))
	v.server.Config.ErrorLog = log.New(io.Discard, "", 0) // aborted handlers and refused handshakes are the tests' own doing
	if tls {
		v.server.EnableHTTP2 = true
		v.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100} // what Google's front end allows
		v.server.StartTLS()
		v.Roots = x509.NewCertPool()
		v.Roots.AddCert(v.server.Certificate())
	} else {
		v.server.Start()
	}
	v.URL, v.Addr = v.server.URL, v.server.Listener.Addr().String()
	t.Cleanup(func() {
		v.server.CloseClientConnections()
		v.server.Close()
	})
	return v
}

// Answer sets what a push is answered with.
func (v *Vendor) Answer(h http.HandlerFunc) { v.answer.Store(&h) }

// OAuth sets what a request for a token is answered with.
func (v *Vendor) OAuth(h http.HandlerFunc) { v.oauth.Store(&h) }

// Pushes counts the pushes that have arrived.
func (v *Vendor) Pushes() int { return int(v.pushes.Load()) }

// Seen gives the credentials that were presented: they must not come back.
func (v *Vendor) Seen() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.seen)
}

func (v *Vendor) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		v.note(r.FormValue("assertion"))
		(*v.oauth.Load())(w, r)
		return
	}
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	v.note(credential)
	v.pushes.Add(1)
	(*v.answer.Load())(w, r)
}

func (v *Vendor) note(credential string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if credential != "" && !slices.Contains(v.seen, credential) {
		v.seen = append(v.seen, credential)
	}
}

// reply answers with a status and a body.
func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
