package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

const (
	scope        = "https://www.googleapis.com/auth/firebase.messaging"
	refreshEarly = 5 * time.Minute
	fetchTimeout = 15 * time.Second
	// fetchPause spares the token endpoint after a failure: 500 attempts in flight
	// would otherwise ask one after the other.
	fetchPause = time.Second
)

// tokens keeps one OAuth access token and renews it: one request at a time,
// however many ask. While the old token is still good, nobody waits for the new.
type tokens struct {
	fetch func(context.Context) (*oauth2.Token, error)

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	token    *oauth2.Token
	flight   *flight // nil: none under way
	err      error   // of the last fetch
	notUntil time.Time
	struck   bool // the token was dropped as unauthenticated, and none has worked since
}

// flight is one request for a token.
type flight struct{ done chan struct{} }

var errClosed = errors.New("the FCM provider is closed")

func newTokens(fetch func(context.Context) (*oauth2.Token, error)) *tokens {
	ctx, cancel := context.WithCancel(context.Background())
	return &tokens{fetch: fetch, ctx: ctx, cancel: cancel}
}

// get gives a token that is good for a while, and waits for one if it must.
func (t *tokens) get(ctx context.Context) (string, error) {
	for {
		token, f, err := t.now()
		if token != "" || err != nil {
			return token, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// now gives the token, or the flight to wait for, or the error of the last.
func (t *tokens) now() (string, *flight, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return "", nil, errClosed
	}
	now := time.Now()
	good := t.goodFor(now)
	paused := now.Before(t.notUntil)
	if good < refreshEarly && t.flight == nil && !paused {
		f := &flight{done: make(chan struct{})}
		t.flight = f
		t.wg.Go(func() { t.run(f) })
	}
	switch {
	case good > 0:
		return t.token.AccessToken, nil, nil
	case t.flight != nil:
		return "", t.flight, nil
	}
	return "", nil, t.err
}

func (t *tokens) goodFor(now time.Time) time.Duration {
	switch {
	case t.token == nil:
		return 0
	case t.token.Expiry.IsZero(): // the endpoint did not say: as long as it works
		return refreshEarly
	}
	return t.token.Expiry.Sub(now)
}

func (t *tokens) run(f *flight) {
	ctx, cancel := context.WithTimeout(t.ctx, fetchTimeout)
	defer cancel()
	token, err := t.fetch(ctx)
	if err == nil && (token == nil || token.AccessToken == "") {
		err = &fetchError{verdict: diaphone.Retry, reason: "no_access_token", err: errors.New("the token endpoint answered without a token")}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(f.done)
	t.flight = nil
	if err != nil {
		t.err, t.notUntil = err, time.Now().Add(fetchPause)
		return
	}
	t.token, t.err = token, nil
}

// refused hears that FCM did not know the token. It is dropped; again tells that
// its predecessor was, too, with no success in between.
func (t *tokens) refused(token string) (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == nil || t.token.AccessToken != token {
		return false // another attempt has seen to it
	}
	again, t.struck = t.struck, true
	t.token = nil
	return again
}

// worked hears that FCM took a token.
func (t *tokens) worked() {
	t.mu.Lock()
	t.struck = false
	t.mu.Unlock()
}

func (t *tokens) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
}

// fetchError is a failure to get a token, in words that carry nothing of the
// account.
type fetchError struct {
	verdict diaphone.Verdict
	status  int
	reason  string
	after   time.Duration
	header  http.Header // of the answer, if there was one
	err     error
}

func (e *fetchError) Error() string { return "get an OAuth token: " + e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

// fetcher exchanges a signed assertion for an access token (RFC 7523), at the
// address that the account itself names.
func fetcher(a *account, base http.RoundTripper) func(context.Context) (*oauth2.Token, error) {
	conf := &jwt.Config{
		Email: a.ClientEmail, PrivateKey: []byte(a.PrivateKey), PrivateKeyID: a.PrivateKeyID,
		Scopes: []string{scope}, TokenURL: a.TokenURI,
	}
	return func(ctx context.Context) (*oauth2.Token, error) {
		client := &http.Client{
			Transport:     within{ctx: ctx, base: base},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		token, err := conf.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token()
		if err != nil {
			return nil, explain(err)
		}
		return token, nil
	}
}

// within ties requests to a context: x/oauth2/jwt makes them without one.
type within struct {
	ctx  context.Context
	base http.RoundTripper
}

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.base.RoundTrip(r.WithContext(w.ctx))
}

// explain turns x/oauth2's error, which quotes the whole answer, into one that
// says only the endpoint's error code (RFC 6749 §5.2). A 4xx is about the
// account: revoked, deleted, its clock wrong. Everything else passes.
func explain(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		e := &fetchError{verdict: diaphone.Retry}
		e.reason, e.err = exchange.Failure(err)
		return e
	}
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(refused.Body, &body) // no code then
	e := &fetchError{
		verdict: diaphone.Denied,
		status:  refused.Response.StatusCode,
		reason:  exchange.Word(body.Error),
		after:   exchange.RetryAfter(refused.Response.Header, time.Now()),
		header:  refused.Response.Header,
	}
	if e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status >= 500 || e.status < 400 {
		e.verdict = diaphone.Retry
	}
	e.err = fmt.Errorf("the token endpoint answered %d %s", e.status, e.reason)
	return e
}
