// Package apns sends notifications through Apple's Push Notification service
// with a token-signing key or a certificate. Connections are net/http's, in a pool
// of our own; sideshow/apns2 knows Apple's words.
//
// One Provider serves one credential: one key, one environment, one bundle id.
// Connections are never shared between keys, for APNs answers
// UnrelatedKeyIdInToken to that.
package apns

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

	"github.com/sideshow/apns2"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// Bounds on a connection. A ping after a quiet time finds the ones that a
// firewall has silently dropped while requests wait on them.
const (
	dialTimeout  = 10 * time.Second
	quietTime    = 15 * time.Second
	pingTimeout  = 15 * time.Second
	maxHeaderKiB = 32
)

// Provider sends through one APNs credential. It is safe for concurrent use,
// opens connections when it is first used, and starts no goroutine before.
type Provider struct {
	pool    *pool
	pass    *pass // nil: a key
	place   string
	devices string // what the URL of every device begins with
	bundle  string
	last    atomic.Pointer[rendered]
}

// rendered is the message sent last. A message goes to many devices one after
// the other and never changes, so that remembering one spares nearly all the
// rendering; nothing depends on it.
type rendered struct {
	message *diaphone.Message
	header  http.Header // what all of its requests have alike
	*rendering
}

var _ providers.Provider = (*Provider)(nil)

// New builds a Provider. Its errors name the field at fault and carry nothing of
// its content.
func New(c Config) (*Provider, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	size := c.Connections
	if size == 0 {
		size = defaultConnections
	}
	return &Provider{
		pool:    newPool(size, id.signer, dialer(c.transport(id.pass), address)),
		pass:    id.pass,
		place:   fmt.Sprintf("APNs (%s, %s)", c.Environment, address),
		devices: "https://" + address + "/3/device/",
		bundle:  c.Topic,
	}, nil
}

// Topic is the bundle id that the provider sends for.
func (p *Provider) Topic() string { return p.bundle }

// transport makes connections, nothing else: its own pool is never used.
func (c *Config) transport(p *pass) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: quietTime}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderKiB << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: quietTime, PingTimeout: pingTimeout},
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP2(true) // APNs has no HTTP/1
	if p != nil {
		t.TLSClientConfig.Certificates = []tls.Certificate{p.Certificate}
	}
	return t
}

// Render gives headers and payload as Send would send them. A message that has
// no id yet is rendered with one of the right length, so that the size is exact.
func (p *Provider) Render(m *diaphone.Message) (providers.Rendered, error) {
	r, err := render(m, p.bundle)
	if err != nil {
		return providers.Rendered{}, err
	}
	return providers.Rendered{Header: r.fields(), Payload: r.payload(exchange.SampleDelivery()), Limit: r.limit}, nil
}

// Send makes one attempt.
func (p *Provider) Send(ctx context.Context, d *diaphone.Delivery) diaphone.Outcome {
	_, o := p.try(ctx, d)
	return o
}

// try makes one attempt and gives what it is known by, too.
func (p *Provider) try(ctx context.Context, d *diaphone.Delivery) (*attempt, diaphone.Outcome) {
	a := &attempt{}
	r, err := p.rendering(d.Message)
	if err != nil {
		return a, diaphone.Outcome{Verdict: diaphone.Refused, Reason: "unsendable", Err: err}
	}
	token := strings.ToLower(d.Token.Value.Reveal())
	if token == "" || !every(token, isLowerHex) {
		return a, diaphone.Outcome{Verdict: diaphone.Suspect, Reason: "malformed_token",
			Err: errors.New("the device's APNs token is not hexadecimal; nothing was sent")}
	}
	if p.pass != nil {
		if o := p.pass.objection(&r.headers, time.Now()); o != nil {
			return a, *o
		}
	}
	a.url, a.token, a.id, a.header, a.payload = p.devices+token, token, d.ID, r.header, r.payload(d.ID)
	err = p.pool.send(ctx, a)
	if a.answer.Status == 0 {
		return a, unanswer(err, token, a.bearer.jwt)
	}
	o := judge(a)
	if o.Reason == apns2.ReasonTopicDisallowed && r.foreign {
		o.Verdict = diaphone.Refused // the publisher's topic, not our credential
	}
	return a, o
}

func (p *Provider) rendering(m *diaphone.Message) (*rendered, error) {
	if last := p.last.Load(); last != nil && last.message == m {
		return last, nil
	}
	r, err := render(m, p.bundle)
	if err != nil {
		return nil, err
	}
	made := &rendered{message: m, rendering: r, header: http.Header{}}
	made.header.Set("Content-Type", "application/json; charset=utf-8")
	for name, value := range r.fields() {
		made.header.Set(name, value)
	}
	p.last.Store(made)
	return made, nil
}

// judge turns an answer into the outcome.
func judge(a *attempt) diaphone.Outcome {
	now := time.Now()
	o := a.reply.outcome(a.answer, now)
	if id := a.answer.Header.Get("Apns-Id"); id == a.id || isUUID(id) && !exchange.Leaks(id, a.token) {
		o.ProviderID = id
	}
	if a.again {
		o.Verdict, o.RetryAfter, o.Err = diaphone.Denied, 0, skew(a.answer, now)
	}
	return o
}

// unanswer is the outcome of an attempt without an answer: always Retry, for it
// says nothing about the device, and the delivery's id makes a repetition
// recognisable.
func unanswer(err error, secrets ...string) diaphone.Outcome {
	if err == nil {
		err = errors.New("no answer")
	}
	o := diaphone.Outcome{Verdict: diaphone.Retry}
	o.Reason, o.Err = exchange.Failure(err, secrets...)
	var u *unreachable
	switch {
	case errors.As(err, &u):
		if o.Reason == exchange.ConnectionLost {
			o.Reason = exchange.Unreachable
		}
		o.RetryAfter = max(time.Until(u.until), 0)
	case errors.Is(err, errClosed):
		o.Reason = "closed"
	}
	o.Err = fmt.Errorf("APNs: %w", o.Err)
	return o
}

// isUUID tells an apns-id from whatever else an answer may hold.
func isUUID(s string) bool {
	if len(s) != exchange.DeliveryIDSize {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !isLowerHex(s[i]|0x20) {
			return false
		}
	}
	return true
}

// Close ends all connections and waits until the provider's goroutines have
// ended. Attempts under way end with Retry, and so do later ones.
func (p *Provider) Close() error { return p.pool.close() }
