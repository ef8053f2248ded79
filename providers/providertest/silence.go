package providertest

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// isSilence checks an outcome without an answer: Retry, and nothing else.
func (b *bench) isSilence(o diaphone.Outcome) {
	b.t.Helper()
	if o.Verdict != diaphone.Retry || o.Status != 0 || o.ProviderID != "" || o.Reason == "" {
		b.t.Errorf("no answer must be Retry: %+v", o)
	}
}

// hang answers nothing until it is released.
func hang(release <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}
}

func testHang(t *testing.T, s Subject) {
	release := make(chan struct{})
	b := s.against(t, hang(release))
	defer close(release)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	o := b.send(ctx)
	b.isSilence(o)
	if !errors.Is(o.Err, context.DeadlineExceeded) {
		t.Errorf("the error does not say that time ran out: %v", o.Err)
	}

	ended, end := context.WithCancel(context.Background())
	end()
	before := b.v.Pushes()
	o = b.send(ended)
	b.isSilence(o)
	if !errors.Is(o.Err, context.Canceled) || b.v.Pushes() != before {
		t.Errorf("an attempt whose context had ended was made: %+v", o)
	}
}

func testCut(t *testing.T, s Subject) {
	b := s.against(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	b.isSilence(b.send(bounded(t)))
	if n := b.v.Pushes(); n != 1 {
		t.Errorf("%d requests for one attempt: it may have been acted on and must not be repeated", n)
	}
	for _, status := range []int{200, 400, 404, 410, 503} {
		before := b.v.Pushes()
		b.v.Answer(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"reason":"Unregistered"`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		if o := b.send(bounded(t)); o.Verdict == diaphone.Gone && !slices.Contains(s.GoneBy, status) {
			t.Errorf("buried by half an answer: %+v", o)
		}
		if n := b.v.Pushes() - before; n != 1 {
			t.Errorf("status %d, cut: %d requests for one attempt", status, n)
		}
	}
	b.v.Answer(s.Accept)
	if o := b.send(bounded(t)); o.Verdict != diaphone.Accepted {
		t.Errorf("the vendor is well again: %+v", o)
	}
}

func testUnreachable(t *testing.T, s Subject) {
	b := s.against(t, s.Accept)
	b.v.server.CloseClientConnections()
	b.v.server.Close()
	for range 3 {
		b.isSilence(b.send(bounded(t)))
	}
	if !s.TLS {
		return
	}
	v := NewVendor(t, true)
	v.Answer(s.Accept)
	v.Roots = x509.NewCertPool() // trusts nobody
	distrust := &bench{t: t, s: s, v: v, p: s.open(t, v)}
	distrust.isSilence(distrust.send(bounded(t)))
	if n := v.Pushes(); n != 0 {
		t.Errorf("%d pushes went to a vendor that could not be verified", n)
	}
}

func testUnsendable(t *testing.T, s Subject) {
	b := s.against(t, s.Accept)
	own := b.token()
	for _, token := range []string{"", " ", "../../x", "a\nb", "zürich", own + "\r\nx: y", own + "/..", own + "?a=b"} {
		if s.Kind == diaphone.TokenFCM && strings.HasPrefix(token, own+"/") || s.Kind == diaphone.TokenFCM && strings.HasSuffix(token, "?a=b") || s.Kind == diaphone.TokenFCM && token == "../../x" {
			continue // printable: for FCM to judge, and in a JSON string it can do no harm
		}
		o := b.p.Send(bounded(t), Delivery(Hello(), s.Kind, token))
		b.check(o)
		if o.Verdict != diaphone.Suspect {
			t.Errorf("token %q: %+v", token, o)
		}
	}
	d := b.delivery()
	d.Message = &diaphone.Message{ID: d.Message.ID}
	o := b.p.Send(bounded(t), d)
	b.check(o)
	if o.Verdict != diaphone.Refused {
		t.Errorf("no notification: %+v", o)
	}
	d.Message = nil
	o = b.p.Send(bounded(t), d)
	b.check(o)
	if o.Verdict != diaphone.Refused {
		t.Errorf("no message: %+v", o)
	}
	if n := b.v.Pushes(); n != 0 {
		t.Errorf("%d requests for what cannot be sent", n)
	}
}
