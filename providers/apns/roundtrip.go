package apns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// attempt is one Send on its way through the pool, and what came back.
type attempt struct {
	url     string
	token   string // the device's, for keeping it out of texts
	id      string
	header  http.Header // what the message's requests have alike; read-only
	payload []byte

	answer exchange.Answer
	reply  reply  // the answer, understood
	bearer bearer // what was presented when it came
	again  bool   // it was called expired, and so was the one before
}

// maxResends bounds how often one request may run into connections that are
// just going away.
const maxResends = 8

// send makes the attempt on a stream of the pool. It repeats only what HTTP/2
// proves not to have been processed (RFC 9113 §8.7); to the outside that is one
// attempt.
func (p *pool) send(ctx context.Context, a *attempt) (err error) {
	for range maxResends {
		if err = p.once(ctx, a); err == nil || !unprocessed(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// once makes one try on one connection.
func (p *pool) once(ctx context.Context, a *attempt) error {
	req, err := a.request(ctx)
	if err != nil {
		return err
	}
	g := p.acquire(ctx)
	if g.err != nil {
		return g.err
	}
	if g.token.jwt != "" { // else the connection's certificate speaks for us
		req.Header.Set("Authorization", "bearer "+g.token.jwt)
	}
	resp, err := g.conn.cc.RoundTrip(req) //nolint:bodyclose // exchange.Read closes it
	if err != nil {
		p.settle(g.conn, unanswered)
		return err
	}
	a.bearer = g.token
	a.answer = exchange.Read(resp, maxAnswer)
	a.reply = read(a.answer, a.token, a.bearer.jwt)
	p.settle(g.conn, p.result(a))
	return nil
}

// result tells the pool what the answer says of the connection. An expired
// provider token ends it: the new one begins on a new connection, for changing it
// here may come too early for Apple's taste.
func (p *pool) result(a *attempt) result {
	if a.reply.effect != refresh {
		return a.reply.result()
	}
	if a.again = p.signer.expired(a.bearer, time.Now()); a.again {
		return answered
	}
	return outdated
}

// request is what goes over the wire, but for the provider token.
func (a *attempt) request(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(a.payload))
	if err != nil {
		return nil, err
	}
	r.GetBody = nil // net/http must not repeat it
	r.Header = maps.Clone(a.header)
	r.Header.Set("apns-id", a.id)
	return r, nil
}

// Texts of net/http's errors for requests that a connection did not take: its
// GOAWAY came first, or it was closed before the request was written. The values
// are not exported; TestUnprocessedErrorsOfGo fails when Go renames them.
const (
	textGoAway         = "http2: Transport received Server's graceful shutdown GOAWAY"
	textUnusable       = "http2: client conn not usable"
	textNotEstablished = "http2: client conn could not be established"
)

// unprocessed tells whether the server surely did not act on the request.
func unprocessed(err error) bool {
	var stream http2.StreamError
	if errors.As(err, &stream) {
		return stream.Code == http2.ErrCodeRefusedStream
	}
	switch err.Error() {
	case textGoAway, textUnusable, textNotEstablished:
		return true
	}
	return false
}

// dialer opens one connection to APNs.
func dialer(t *http.Transport, address string) func(context.Context) (*http.ClientConn, error) {
	return func(ctx context.Context) (*http.ClientConn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		cc, err := t.NewClientConn(ctx, "https", address)
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", address, err)
		}
		return cc, nil
	}
}
