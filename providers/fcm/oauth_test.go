package fcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
)

// minting is a token endpoint that takes a second for each token, which lives an
// hour.
type minting struct {
	count atomic.Int64
	fail  atomic.Bool
}

func (m *minting) fetch(ctx context.Context) (*oauth2.Token, error) {
	select {
	case <-time.After(time.Second): // fake time: see synctest
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.fail.Load() {
		return nil, errors.New("down")
	}
	return &oauth2.Token{AccessToken: fmt.Sprint("token-", m.count.Add(1)), Expiry: time.Now().Add(time.Hour)}, nil
}

// pass lets fake time pass; see synctest.
func pass(d time.Duration) { <-time.After(d) }

func TestTokenIsFetchedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minting{}
		tok := newTokens(m.fetch)
		defer tok.close()
		begun := time.Now()
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				if got, err := tok.get(t.Context()); got != "token-1" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		wg.Wait()
		if n := m.count.Load(); n != 1 || time.Since(begun) != time.Second {
			t.Errorf("%d tokens in %v", n, time.Since(begun))
		}
	})
}

func TestTokenIsRenewedEarlyAndNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minting{}
		tok := newTokens(m.fetch)
		defer tok.close()
		get := func(want string) {
			t.Helper()
			begun := time.Now()
			got, err := tok.get(t.Context())
			if got != want || err != nil || time.Since(begun) != 0 && want != "token-1" {
				t.Errorf("%q after %v, %v; want %q at once", got, time.Since(begun), err, want)
			}
		}
		get("token-1")
		pass(time.Hour - refreshEarly - time.Second)
		get("token-1")
		synctest.Wait()
		if m.count.Load() != 1 {
			t.Error("renewed before it was time")
		}
		pass(2 * time.Second)
		get("token-1") // still good; starts the renewal
		pass(time.Second)
		synctest.Wait()
		get("token-2")
	})
}

func TestTokenEndpointIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minting{}
		tok := newTokens(m.fetch)
		defer tok.close()
		if _, err := tok.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.fail.Store(true)
		pass(time.Hour - time.Minute)
		if got, err := tok.get(t.Context()); got != "token-1" || err != nil {
			t.Errorf("a token that is still good: %q, %v", got, err)
		}
		pass(time.Minute)
		if got, err := tok.get(t.Context()); got != "" || err == nil {
			t.Errorf("after it has expired: %q, %v", got, err)
		}
		begun := time.Now()
		if _, err := tok.get(t.Context()); err == nil || time.Since(begun) != 0 {
			t.Errorf("within the pause: %v after %v", err, time.Since(begun))
		}
		m.fail.Store(false)
		pass(fetchPause)
		if got, err := tok.get(t.Context()); got != "token-2" || err != nil {
			t.Errorf("when it is back: %q, %v", got, err)
		}
	})
}

func TestWaitingForATokenEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tok := newTokens((&minting{}).fetch)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := tok.get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		tok.close()
		if _, err := tok.get(t.Context()); !errors.Is(err, errClosed) {
			t.Error(err)
		}
	})
}

func TestWhatTheTokenEndpointSays(t *testing.T) {
	for _, c := range []struct {
		status  int
		body    string
		verdict diaphone.Verdict
		reason  string
	}{
		{400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, diaphone.Denied, "invalid_grant"},
		{401, `{"error":"invalid_client"}`, diaphone.Denied, "invalid_client"},
		{403, `{"error":{"code":403}}`, diaphone.Denied, ""},
		{404, `<html>`, diaphone.Denied, ""},
		{429, ``, diaphone.Retry, ""},
		{500, `{"error":"internal_failure"}`, diaphone.Retry, "internal_failure"},
		{503, ``, diaphone.Retry, ""},
		{302, ``, diaphone.Retry, ""},
		{200, `{}`, diaphone.Retry, "no_access_token"},
		{200, `<html>`, diaphone.Retry, "connection_lost"},
	} {
		v := providertest.NewVendor(t, false)
		v.Answer(subjectOf(false).Accept)
		v.OAuth(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		p := open(t, Config{ServiceAccount: accountFor(v.URL + "/token"), Endpoint: v.URL + "/v1"})
		o := p.Send(providertest.Bounded(t), providertest.Delivery(providertest.Hello(), diaphone.TokenFCM, subjectOf(false).Token(nil)))
		if o.Verdict != c.verdict || o.Reason != c.reason || o.Err == nil || o.RetryAfter <= 0 {
			t.Errorf("%d %s: %+v", c.status, c.body, o)
		}
		if c.status != 200 && o.RetryAfter != 7*time.Second {
			t.Errorf("%d: retry after %v", c.status, o.RetryAfter)
		}
		if n := v.Pushes(); n != 0 {
			t.Errorf("%d: %d messages were sent without a token", c.status, n)
		}
	}
}
