package exchange

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "7.5": 0, "soon": 0,
		"99999999999999999999": 0, "4000000000": 24 * time.Hour,
		"Tue, 01 Jan 2030 12:00:30 GMT": 30 * time.Second,
		"Tue, 01 Jan 2030 11:00:00 GMT": 0,
		"Tue, 01 Jan 2130 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestQuoteRedacts(t *testing.T) {
	const secret = "c0ffee-SECRET"
	for text, want := range map[string]string{
		"plain words stay":                                    "plain words stay",
		"the token c0ffee-SECRET is bad":                      "the token [redacted] is bad",
		"THE TOKEN C0FFEE-secret IS BAD":                      "THE TOKEN [redacted] IS BAD",
		strings.Repeat("ab", 20) + " long":                    "[redacted] long",
		"message.android.notification.notification_count: no": "message.android.notification.notification_count: no",
		"lower." + strings.Repeat("ab", 20) + "7":             "[redacted]",
	} {
		if got := Quote(text, secret, "", "x"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := Quote(strings.Repeat("é ", 500)); len(got) > maxQuote+len("…") || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestWord(t *testing.T) {
	for text, want := range map[string]string{
		"Unregistered": "Unregistered", "QUOTA_EXCEEDED": "QUOTA_EXCEEDED", "": "",
		"c0ffee": "", "two words": "", "dash-ed": "", "tokenlikesecret": "", "TOKENLIKESECRET": "",
		strings.Repeat("a", 65): "", "naïve": "", "a\n": "", "[": "", "@": "",
	} {
		if got := Word(text, "tokenlikesecret"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestFailure(t *testing.T) {
	const token = "c0ffee00c0ffee00"
	in := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://host/3/device/" + token, Err: err}
	}
	for _, c := range []struct {
		err    error
		reason string
		is     error
	}{
		{in(context.DeadlineExceeded), Timeout, context.DeadlineExceeded},
		{in(in(fmt.Errorf("wait: %w", context.Canceled))), Cancelled, context.Canceled},
		{in(&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}), Unreachable, nil},
		{in(&net.DNSError{Err: "no such host", Name: "x"}), Unreachable, nil},
		{in(&net.OpError{Op: "read", Net: "tcp", Err: errors.New("reset")}), ConnectionLost, nil},
		{in(x509.UnknownAuthorityError{}), TLSFailed, nil},
		{in(io.ErrUnexpectedEOF), ConnectionLost, nil},
		{in(errors.New("the vendor said " + token)), ConnectionLost, nil},
	} {
		reason, err := Failure(c.err, token)
		if reason != c.reason || err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%v: %s, %v", c.err, reason, err)
		}
		if text := fmt.Sprintf("%+v %#v", err, err); strings.Contains(text, token) || strings.Contains(text, "https:") {
			t.Errorf("%s: %s", reason, text)
		}
	}
}

func TestMergeIsRFC7396(t *testing.T) {
	for i, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":12345678901234567890}`, `{"b":1.10}`, `{"a":12345678901234567890,"b":1.10}`},
	} {
		target, err := Object([]byte(c.target))
		if err != nil {
			t.Fatal(err)
		}
		patch, err := Object([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		Merge(target, patch)
		if got, err := Encode(target); string(got) != c.want || err != nil {
			t.Errorf("case %d: %s, %v; want %s", i, got, err, c.want)
		}
	}
}

func TestObject(t *testing.T) {
	for _, text := range []string{"", "null", "[]", `"x"`, "{", "{}x", "{} {}", "{} ]"} {
		if _, err := Object([]byte(text)); err == nil {
			t.Errorf("%q was taken for an object", text)
		}
	}
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":null}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		target, err := Object([]byte(a))
		if err != nil {
			return
		}
		patch, err := Object([]byte(b))
		if err != nil {
			return
		}
		Merge(target, patch)
		once, err := Encode(target)
		if err != nil || !json.Valid(once) {
			t.Fatalf("%s, %v", once, err)
		}
		Merge(target, patch)
		if twice, _ := Encode(target); string(once) != string(twice) {
			t.Errorf("merging twice: %s, then %s", once, twice)
		}
	})
}

func TestReadIsBounded(t *testing.T) {
	closed := false
	body := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader("abcdef"), endless{}), closer(func() { closed = true })}
	a := Read(&http.Response{StatusCode: http.StatusOK, Body: body}, 4)
	if string(a.Body) != "abcd" || !closed {
		t.Errorf("%q, closed %t", a.Body, closed)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type closer func()

func (c closer) Close() error { c(); return nil }
