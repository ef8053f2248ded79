package apns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// attempt is one Send on its way through apns2 and net/http: what apns2 cannot
// carry goes down in it, what apns2 hides comes up.
type attempt struct {
	token      string // the device's, for keeping it out of texts
	payload    []byte
	expiration string

	answer exchange.Answer
	reply  reply  // the answer, understood
	bearer bearer // what was presented when it came
	again  bool   // it was called expired, and so was the one before
}

type attemptKey struct{}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// roundTripper stands under apns2's HTTP client.
type roundTripper struct {
	pool *pool
}

// maxResends bounds how often one request may run into connections that are
// just going away.
const maxResends = 8

// RoundTrip sends the request on a stream of the pool. It repeats only what
// HTTP/2 proves not to have been processed (RFC 9113 §8.7); to the outside that
// is one attempt.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	a, _ := req.Context().Value(attemptKey{}).(*attempt)
	if a == nil {
		return nil, errors.New("apns: the request has no attempt")
	}
	var err error
	for range maxResends {
		var resp *http.Response
		if resp, err = t.once(req, a); err == nil {
			return resp, nil
		}
		if !unprocessed(err) || req.Context().Err() != nil {
			break
		}
	}
	return nil, err
}

// once makes one try on one connection.
func (t *roundTripper) once(req *http.Request, a *attempt) (*http.Response, error) {
	g := t.pool.acquire(req.Context())
	if g.err != nil {
		return nil, g.err
	}
	resp, err := g.conn.cc.RoundTrip(dress(req, a, g.token))
	if err != nil {
		t.pool.settle(g.conn, unanswered)
		return nil, err
	}
	a.bearer = g.token
	a.answer = exchange.Read(resp, maxAnswer)
	a.reply = read(a.answer, a.token, a.bearer.jwt)
	t.pool.settle(g.conn, t.result(a))
	resp.Body = io.NopCloser(bytes.NewReader(a.answer.Body))
	return resp, nil
}

// result tells the pool what the answer says of the connection. An expired
// provider token ends it: the new one begins on a new connection, for changing it
// here may come too early for Apple's taste.
func (t *roundTripper) result(a *attempt) result {
	if a.reply.effect != refresh {
		return a.reply.result()
	}
	if a.again = t.pool.signer.expired(a.bearer, time.Now()); a.again {
		return answered
	}
	return outdated
}

// dress gives the request as it goes over the wire. apns2 cannot say "expires at
// 0", its token swallows errors of signing, and its encoding of the payload
// through encoding/json makes six bytes of each <, > and &.
func dress(req *http.Request, a *attempt, b bearer) *http.Request {
	r := req.WithContext(req.Context())
	r.Header = req.Header.Clone()
	if b.jwt != "" { // else the connection's certificate speaks for us
		r.Header.Set("Authorization", "bearer "+b.jwt)
	}
	if a.expiration != "" {
		r.Header.Set(headerExpiration, a.expiration)
	}
	r.Body = io.NopCloser(bytes.NewReader(a.payload))
	r.ContentLength = int64(len(a.payload))
	r.GetBody = nil
	return r
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
