// Package webpush sends notifications to browsers through the push services of
// their vendors: RFC 8030 with messages encrypted as in RFC 8291 and a sender
// known as in RFC 8292 (VAPID). It needs the standard library only.
//
// What it sends is Declarative Web Push: JSON that Safari shows by itself and
// that a service worker of forty lines shows everywhere else (clients/web).
//
// One Provider serves one credential: one VAPID key. The endpoints that it sends
// to are users' words, and it goes to none that its egress guard forbids.
package webpush

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// attemptTimeout bounds an attempt whose context does not.
const attemptTimeout = 10 * time.Second

// Provider sends through one Web Push credential. It is safe for concurrent use,
// opens connections when it is first used, and starts no goroutine before.
type Provider struct {
	client   *http.Client
	signer   *signer
	navigate string
	attempts *exchange.Attempts
	last     atomic.Pointer[rendered]
}

// rendered is the message sent last. A message goes to many browsers one after
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
	key, err := c.parse()
	if err != nil {
		return nil, err
	}
	s, err := newSigner(key, c.Subject)
	if err != nil {
		return nil, err
	}
	return &Provider{
		client: c.Guard.Client(attemptTimeout), signer: s, navigate: c.Navigate, attempts: exchange.NewAttempts(),
	}, nil
}

// Render gives headers and plaintext as Send would send them. A message that has
// no id yet is rendered with one of the right length, so that the size is exact.
func (p *Provider) Render(m *diaphone.Message) (providers.Rendered, error) {
	r, err := render(m, p.navigate, exchange.Remaining(m, time.Now()))
	if err != nil {
		return providers.Rendered{}, err
	}
	return providers.Rendered{Header: r.fields(), Payload: r.payload(exchange.SampleDelivery()), Limit: maxMessage}, nil
}

// Send makes one attempt.
func (p *Provider) Send(ctx context.Context, d *diaphone.Delivery) diaphone.Outcome {
	now := time.Now()
	r, err := p.rendering(d.Message, now)
	if err != nil {
		return diaphone.Outcome{Verdict: diaphone.Refused, Reason: "unsendable", Err: err}
	}
	to, err := diaphone.ParseSubscription(d.Token.Value)
	if err != nil {
		return diaphone.Outcome{Verdict: diaphone.Suspect, Reason: "malformed_token", Err: fmt.Errorf("nothing was sent: %w", err)}
	}
	ctx, end, ok := p.attempts.Begin(ctx)
	if !ok {
		return diaphone.Outcome{Verdict: diaphone.Retry, Reason: "closed", Err: errClosed}
	}
	defer end()
	secrets := append([]string{to.Endpoint, d.Token.Value.Reveal()}, strings.Split(to.Endpoint, "/")[3:]...)
	req, err := p.request(ctx, &to, r, r.payload(d.ID), now)
	if err != nil {
		_, flat := exchange.Failure(err, secrets...)
		return diaphone.Outcome{Verdict: diaphone.Suspect, Reason: "malformed_token", Err: fmt.Errorf("nothing was sent: %w", flat)}
	}
	secrets = append(secrets, req.Header.Get("Authorization"))
	resp, err := p.client.Do(req) //nolint:bodyclose // exchange.Read closes it
	if err != nil {
		return p.unanswer(err, secrets...)
	}
	a := exchange.Read(resp, maxAnswer)
	return outcomeOf(read(vendorOf(req.URL.Hostname()), a, secrets...), a, now)
}

var errClosed = errors.New("web push: the provider is closed")

func (p *Provider) rendering(m *diaphone.Message, now time.Time) (*rendering, error) {
	ttl := exchange.Remaining(m, now)
	if last := p.last.Load(); last != nil && last.message == m && last.ttl == ttl {
		return last.rendering, nil
	}
	r, err := render(m, p.navigate, ttl)
	if err == nil {
		p.last.Store(&rendered{message: m, rendering: r})
	}
	return r, err
}

// request encrypts and signs one push.
func (p *Provider) request(ctx context.Context, to *diaphone.Subscription, r *rendering, plain []byte, now time.Time) (*http.Request, error) {
	u, err := url.Parse(to.Endpoint)
	if err != nil {
		return nil, errors.New("the endpoint is no URL")
	}
	authorization, err := p.signer.header(originOf(u), now)
	if err != nil {
		return nil, err
	}
	e, err := newEntropy()
	if err != nil {
		return nil, err
	}
	body, err := encrypt(to, plain, padded(plain), e)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range r.fields() {
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Encoding", "aes128gcm")
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("User-Agent", "diaphone")
	return req, nil
}

// originOf gives the origin as RFC 6454 §6.2 writes it: without the port that the
// scheme has by itself.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
}

// unanswer is the outcome of an attempt without an answer. It says nothing about
// the device, unless the guard has refused the endpoint: then somebody has
// registered what no browser gives, and it never passes.
func (p *Provider) unanswer(err error, secrets ...string) diaphone.Outcome {
	o := diaphone.Outcome{Verdict: diaphone.Retry}
	if errors.Is(err, egress.ErrForbidden) {
		o.Verdict = diaphone.Suspect
	}
	o.Reason, o.Err = exchange.Failure(err, secrets...)
	switch {
	case o.Verdict == diaphone.Suspect:
		o.Reason = forbiddenURL
	case p.attempts.Closed():
		o.Reason, o.Err = "closed", errClosed
	}
	o.Err = fmt.Errorf("web push: %w", o.Err)
	return o
}

// Close ends all connections and waits until attempts under way have ended, with
// Retry. Later attempts give Retry.
func (p *Provider) Close() error {
	p.attempts.Close()
	p.client.CloseIdleConnections()
	return nil
}
