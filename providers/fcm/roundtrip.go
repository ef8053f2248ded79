package fcm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// attempt is one Send on its way through the SDK: what the SDK cannot carry goes
// down in it, what the SDK hides comes up.
type attempt struct {
	body []byte

	begun  bool
	access string // the OAuth token that was presented
	answer exchange.Answer
	err    error // why there is no answer
}

type attemptKey struct{}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// roundTripper stands under the SDK. The SDK repeats requests by itself, up to
// four times over seven seconds, after network errors and 503; that belongs to
// the outbox alone. So it is never shown either: a failure is a response, and a
// 503 has another number. The attempt has the truth.
type roundTripper struct {
	base   http.RoundTripper
	tokens *tokens
}

var errTwice = errors.New("fcm: the SDK tried to send a request twice")

// RoundTrip makes the attempt. It never gives an error.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	a, _ := req.Context().Value(attemptKey{}).(*attempt)
	if a == nil {
		return nil, errors.New("fcm: the request has no attempt")
	}
	if a.begun { // should a newer SDK find another reason to repeat
		a.answer, a.err = exchange.Answer{}, errTwice
		return respond(req, http.StatusInternalServerError, nil), nil
	}
	a.begun = true
	if a.err = t.send(req, a); a.err != nil {
		return respond(req, http.StatusInternalServerError, nil), nil //nolint:nilerr // that is what it is for
	}
	status := a.answer.Status
	if status == http.StatusServiceUnavailable {
		status = http.StatusInternalServerError
	}
	return respond(req, status, a.answer.Body), nil
}

func (t *roundTripper) send(req *http.Request, a *attempt) error {
	var err error
	if a.access, err = t.tokens.get(req.Context()); err != nil {
		return err
	}
	r := req.WithContext(req.Context())
	r.Header = req.Header.Clone()
	r.Header.Set("Authorization", "Bearer "+a.access)
	// Ours instead of the SDK's: with the publisher's raw fields merged in, and
	// byte for byte what Render has measured. GetBody lets net/http repeat what was
	// surely not sent; POSTs that may have been it never repeats.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(a.body))
	resp, err := t.base.RoundTrip(r) //nolint:bodyclose // exchange.Read closes it
	if err != nil {
		return err
	}
	a.answer = exchange.Read(resp, maxAnswer)
	return nil
}

// respond makes the response that the SDK is shown. Its body is in memory, for
// the SDK takes an error while reading for one more reason to repeat.
func respond(req *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}
