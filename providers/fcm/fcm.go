// Package fcm sends notifications through Firebase Cloud Messaging's HTTP v1 API
// with a service account. Google's firebase-admin-go makes the requests; their
// bodies, the HTTP client underneath, OAuth tokens and the reading of the answers
// are our own.
//
// One Provider serves one credential: one service account of one Firebase
// project.
package fcm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// Bounds on connections.
const (
	dialTimeout  = 10 * time.Second
	keepAlive    = 30 * time.Second
	idleTimeout  = 90 * time.Second
	maxIdle      = 1024 // HTTP/1.1 only, where each request in flight has a connection
	maxHeaderKiB = 32
)

// Provider sends through one FCM credential. It is safe for concurrent use,
// opens connections when it is first used, and starts no goroutine before.
type Provider struct {
	client    *messaging.Client
	transport *http.Transport
	tokens    *tokens
	names     string // what the names of its messages begin with
	place     string // for people
	last      atomic.Pointer[rendered]

	attempts *exchange.Attempts
}

// rendered is the message sent last. A message goes to many devices one after
// the other and never changes, so that remembering one spares nearly all the
// rendering; nothing depends on it.
type rendered struct {
	message *diaphone.Message
	*rendering
}

var _ providers.Provider = (*Provider)(nil)

// New builds a Provider. Its errors name the field at fault and carry nothing of
// its content.
func New(c Config) (*Provider, error) {
	a, err := c.parse()
	if err != nil {
		return nil, err
	}
	transport := c.transport()
	t := newTokens(fetcher(a, transport))
	hc := &http.Client{
		Transport:     &roundTripper{base: transport, tokens: t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	client, err := newClient(context.Background(), a.ProjectID, clientOptions(c.endpoint(), hc)...)
	if err != nil {
		return nil, errors.New("the Firebase SDK refused the FCM service account")
	}
	return &Provider{
		client: client, transport: transport, tokens: t, attempts: exchange.NewAttempts(),
		names: "projects/" + a.ProjectID + "/messages/",
		place: fmt.Sprintf("FCM (project %s, %s)", a.ProjectID, hostOf(c.endpoint())),
	}, nil
}

func clientOptions(endpoint string, hc *http.Client) []option.ClientOption {
	return []option.ClientOption{option.WithHTTPClient(hc), option.WithEndpoint(endpoint)}
}

func newClient(ctx context.Context, project string, opts ...option.ClientOption) (*messaging.Client, error) {
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: project}, opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Firebase app: %w", err)
	}
	client, err := app.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the messaging client: %w", err)
	}
	return client, nil
}

// transport: HTTP/2 over TLS, spread over a few connections, for Google allows
// 100 streams on each; a connection for every request over plain HTTP/1.1.
func (c *Config) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderKiB << 10,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: keepAlive, PingTimeout: dialTimeout},
	}
	if strings.HasPrefix(c.endpoint(), "https:") {
		t.MaxConnsPerHost = c.Connections
		if t.MaxConnsPerHost == 0 {
			t.MaxConnsPerHost = defaultConnections
		}
	}
	return t
}

// Render gives the message as Send would send it, without the token. A message
// that has no id yet is rendered with one of the right length, so that the size
// is exact. FCM has no headers of its own.
func (p *Provider) Render(m *diaphone.Message) (providers.Rendered, error) {
	r, err := render(m, exchange.Remaining(m, time.Now()))
	if err != nil {
		return providers.Rendered{}, err
	}
	return providers.Rendered{Payload: r.message(exchange.SampleDelivery(), ""), Limit: payloadLimit}, nil
}

// Send makes one attempt.
func (p *Provider) Send(ctx context.Context, d *diaphone.Delivery) diaphone.Outcome {
	r, err := p.rendering(d.Message, time.Now())
	if err != nil {
		return diaphone.Outcome{Verdict: diaphone.Refused, Reason: "unsendable", Err: err}
	}
	token := d.Token.Value.Reveal()
	if !isToken(token) {
		return diaphone.Outcome{Verdict: diaphone.Suspect, Reason: "malformed_token",
			Err: errors.New("the device's FCM token is not printable ASCII; nothing was sent")}
	}
	ctx, end, ok := p.attempts.Begin(ctx)
	if !ok {
		return unanswer(errClosed)
	}
	defer end()

	a := &attempt{body: r.body(d.ID, token)}
	// The SDK would encode the whole message, and what it encodes is not sent: see send.
	name, err := p.client.Send(withAttempt(ctx, a), &messaging.Message{Token: token})
	switch {
	case !a.begun: // the SDK's validation stopped it
		return diaphone.Outcome{Verdict: diaphone.Refused, Reason: "unsendable",
			Err: fmt.Errorf("the Firebase SDK refused the message: %s", exchange.Quote(text(err), token))}
	case a.err != nil:
		if p.attempts.Closed() {
			return unanswer(errClosed)
		}
		return unanswer(a.err, token, a.access)
	}
	return p.judge(a, token, name)
}

func text(err error) string {
	if err == nil {
		return "without a word"
	}
	return err.Error()
}

func (p *Provider) rendering(m *diaphone.Message, now time.Time) (*rendering, error) {
	ttl := exchange.Remaining(m, now)
	if last := p.last.Load(); last != nil && last.message == m && last.ttl == ttl {
		return last.rendering, nil
	}
	r, err := render(m, ttl)
	if err == nil {
		p.last.Store(&rendered{message: m, rendering: r})
	}
	return r, err
}

// judge turns an answer into the outcome.
func (p *Provider) judge(a *attempt, token, name string) diaphone.Outcome {
	if a.answer.Status == http.StatusOK && name != "" {
		p.tokens.worked()
		return diaphone.Outcome{Verdict: diaphone.Accepted, Status: http.StatusOK, ProviderID: p.nameOf(name)}
	}
	o, r := outcomeOf(a.answer, time.Now(), token, a.access)
	switch {
	case r.refresh && p.tokens.refused(a.access):
		o.Verdict, o.RetryAfter = diaphone.Denied, 0
	case !r.refresh && a.answer.Status < http.StatusInternalServerError:
		p.tokens.worked()
	}
	return o
}

// unanswer is the outcome of an attempt without an answer of FCM's. It says
// nothing about the device; only the token endpoint can make it more than Retry.
func unanswer(err error, secrets ...string) diaphone.Outcome {
	o := diaphone.Outcome{Verdict: diaphone.Retry}
	var f *fetchError
	switch {
	case errors.As(err, &f):
		o.Verdict, o.Status, o.Reason, o.RetryAfter, o.Err = f.verdict, f.status, f.reason, max(f.after, fetchPause), f
		return o
	case errors.Is(err, errClosed):
		o.Reason, o.Err = "closed", errClosed
		return o
	}
	o.Reason, o.Err = exchange.Failure(err, secrets...)
	o.Err = fmt.Errorf("FCM: %w", o.Err)
	return o
}

// isToken: what JSON and a log would have to escape is no token.
func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// nameOf gives a message's name, projects/P/messages/ID, if that is what it is
// and not something else that an answer may hold. Google's ids are made of hex
// digits and separators, for example 0:1500415314455276%31bd1c9631bd1c96; no
// token is.
func (p *Provider) nameOf(text string) string {
	id, ours := strings.CutPrefix(text, p.names)
	if !ours || id == "" || len(id) > 64 || strings.Trim(id, "0123456789abcdef:%-") != "" {
		return ""
	}
	return text
}

// Close ends all connections and waits until attempts under way have ended, with
// Retry, and the provider's goroutines with them. Later attempts give Retry.
func (p *Provider) Close() error {
	p.attempts.Close()
	p.tokens.close()
	p.transport.CloseIdleConnections()
	return nil
}
