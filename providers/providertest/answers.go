package providertest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func testWords(t *testing.T, s Subject) {
	b := s.against(t, s.Accept)
	if o := b.send(bounded(t)); o.Verdict != diaphone.Accepted || !s.acceptedBy(o.Status) || (o.ProviderID == "") != s.Nameless {
		t.Errorf("success: %+v", o)
	}
	b.v.Answer(s.Gone)
	if o := b.send(bounded(t)); o.Verdict != diaphone.Gone {
		t.Errorf("the vendor's word that the token is dead: %+v", o)
	}
	if n := b.v.Pushes(); n != 2 {
		t.Errorf("%d requests for 2 attempts", n)
	}
}

func (s Subject) acceptedBy(status int) bool {
	if s.AcceptedBy == nil {
		return status == http.StatusOK
	}
	return slices.Contains(s.AcceptedBy, status)
}

// testEveryStatus: no status alone buries a token or is a success, unless the
// vendor has said so of it, and from 500 on it is the vendor's trouble.
func testEveryStatus(t *testing.T, s Subject) {
	b := s.against(t, nil)
	bodies := []string{"", "{}", `{"reason":"NeverHeardOf","error":{"status":"NEVER_HEARD_OF"}}`, "<html><body>Gone</body></html>"}
	for status := 200; status < 600; status++ {
		for _, body := range bodies {
			b.v.Answer(reply(status, body))
			before := b.v.Pushes()
			o := b.send(bounded(t))
			what := fmt.Sprintf("status %d, body %q: %+v", status, body, o)
			if n := b.v.Pushes() - before; n != 1 {
				t.Errorf("%d requests for one attempt: %s", n, what)
			}
			switch {
			case o.Verdict == diaphone.Gone && !slices.Contains(s.GoneBy, status):
				t.Errorf("buried without a word: %s", what)
			case o.Verdict == diaphone.Accepted && !s.acceptedBy(status):
				t.Errorf("accepted: %s", what)
			case status >= 500 && o.Verdict != diaphone.Retry:
				t.Errorf("not retried: %s", what)
			case o.Status != status:
				t.Errorf("another status: %s", what)
			}
		}
	}
}

func testMalformedBodies(t *testing.T, s Subject) {
	b := s.against(t, nil)
	bodies := []string{
		"null", "0", `""`, "[]", "{", `{"reason":`, `{"reason":5}`, `{"reason":{}}`, `{"reason":["Unregistered"]}`,
		`{"reason":"Unregistered"`, `{"reason":"Unregistered"} {"reason":"Unregistered"}`,
		`{"reason":"unregistered"}`, `{"reason":"Unregistered "}`, `{"REASON":null}`,
		`{"error":[]}`, `{"error":"UNREGISTERED"}`, `{"error":{"status":"UNREGISTERED"}}`, `{"error":{"message":"UNREGISTERED"}}`,
		`{"error":{"details":{"errorCode":"UNREGISTERED"}}}`, `{"error":{"details":[{"errorCode":"UNREGISTERED"}]}}`,
		`{"error":{"details":[{"@type":"x","errorCode":"UNREGISTERED"}]}}`,
		strings.Repeat("[", 20_000), "\xff\xfe\x00", `{"reason":"` + strings.Repeat("x", 100_000) + `"}`,
		`{"timestamp":1e999,"reason":"x"}`, `{"timestamp":"soon","reason":"x"}`,
	}
	for _, status := range []int{200, 400, 401, 403, 404, 410, 413, 429, 500, 503} {
		if slices.Contains(s.GoneBy, status) {
			continue
		}
		for _, body := range bodies {
			if status == http.StatusGone && strings.HasPrefix(body, `{"reason":"Unregistered"} `) {
				continue // the vendor's own word, with something behind it
			}
			b.v.Answer(reply(status, body))
			if o := b.send(bounded(t)); o.Verdict == diaphone.Gone {
				t.Errorf("buried by status %d, body %.60q: %+v", status, body, o)
			}
		}
	}
}

// testEndlessBody: what a vendor sends beyond the few bytes of an answer is not
// read, so that it can cost no more than what is in flight.
func testEndlessBody(t *testing.T, s Subject) {
	for _, status := range []int{200, 400, 503} {
		var sent atomic.Int64
		ended := make(chan struct{})
		b := s.against(t, func(w http.ResponseWriter, _ *http.Request) {
			defer close(ended)
			w.WriteHeader(status)
			chunk := strings.Repeat("x", 64<<10)
			for {
				n, err := io.WriteString(w, chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		b.send(bounded(t))
		select {
		case <-ended:
		case <-bounded(t).Done():
			t.Fatalf("status %d: the vendor is still being read", status)
		}
		if n := sent.Load(); n > 32<<20 { // socket buffers and HTTP/2 windows
			t.Errorf("status %d: %d bytes were taken", status, n)
		}
	}
}

func testRedirects(t *testing.T, s Subject) {
	elsewhere := NewVendor(t, s.TLS)
	elsewhere.Answer(s.Accept)
	for _, status := range []int{301, 302, 303, 307, 308} {
		b := s.against(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
		})
		if o := b.send(bounded(t)); o.Verdict == diaphone.Accepted || o.Verdict == diaphone.Gone {
			t.Errorf("status %d: %+v", status, o)
		}
		if n := b.v.Pushes(); n != 1 {
			t.Errorf("status %d: %d requests", status, n)
		}
	}
	if n := elsewhere.Pushes(); n != 0 {
		t.Errorf("%d requests went where a redirect pointed", n)
	}
}
