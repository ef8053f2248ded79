package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const limit = 8 << 10

const event = "POST /apps/1/events?auth_key=k HTTP/1.1\r\nHost: h:80\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"

func TestARequestThatHasComeWholeIsRead(t *testing.T) {
	p := []byte(event + "bodyGET / HTTP")
	r, n, err := new(Reader).Read(p, limit)
	if err != nil || n != len(event)+4 {
		t.Fatalf("took %d bytes, %v", n, err)
	}
	text, _ := io.ReadAll(r.Body)
	if string(text) != "body" || r.URL.Path != "/apps/1/events" || r.URL.RawQuery != "auth_key=k" || r.Host != "h:80" {
		t.Errorf("read %q %v %q", text, r.URL, r.Host)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestWhatIsMissingIsWaitedFor(t *testing.T) {
	whole := event + "body"
	for n := range len(whole) {
		if r, took, err := new(Reader).Read([]byte(whole[:n]), limit); r != nil || took != 0 || err != nil {
			t.Fatalf("after %d bytes: %v, %d, %v", n, r, took, err)
		}
	}
}

func TestWhatIsNotPlainIsLeft(t *testing.T) {
	head := func(fields ...string) string {
		return "POST /a HTTP/1.1\r\nHost: h\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
	}
	for name, p := range map[string]string{
		"bare line feeds, begun":  "GET /a HTTP/1.1\n",
		"bare line feeds":         "GET /a HTTP/1.1\nHost: h\n\n",
		"another method":          "PUT /a HTTP/1.1\r\nHost: h\r\n\r\n",
		"another method, begun":   "PU",
		"TLS":                     "\x16\x03\x01",
		"HTTP/1.0":                "GET /a HTTP/1.0\r\nHost: h\r\n\r\n",
		"HTTP/2":                  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"absolute target":         "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
		"two slashes":             "GET //h/a HTTP/1.1\r\nHost: h\r\n\r\n",
		"no host":                 "GET /a HTTP/1.1\r\nA: b\r\n\r\n",
		"no field at all":         "GET /a HTTP/1.1\r\n\r\n",
		"two hosts":               "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
		"two lengths":             head("Content-Length: 1", "Content-Length: 1"),
		"a list of lengths":       head("Content-Length: 1, 1"),
		"a signed length":         head("Content-Length: +1"),
		"a padded length":         head("Content-Length: 01"),
		"a negative length":       head("Content-Length: -1"),
		"an endless length":       head("Content-Length: 99999999999999999999"),
		"a length over the limit": head("Content-Length: 9000"),
		"chunks":                  head("Transfer-Encoding: chunked"),
		"chunks and a length":     head("Content-Length: 4", "Transfer-Encoding: chunked"),
		"a hidden encoding":       head("Transfer-Encoding : chunked"),
		"a folded line":           head("A: b\r\n c"),
		"a bare line feed":        head("A: b\nTransfer-Encoding: chunked"),
		"a bare carriage return":  head("A: b\rB: c"),
		"a zero byte":             head("A: b\x00"),
		"no colon":                head("A"),
		"expectation":             head("Expect: 100-continue"),
		"close":                   head("Connection: close"),
		"upgrade by POST":         head("Connection: upgrade", "Upgrade: websocket"),
		"upgrade without token":   "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n",
		"GET with a body":         "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
		"a head without an end":   "GET /a HTTP/1.1\r\nA: " + strings.Repeat("b", limit),
		"many fields":             head(slices.Repeat([]string{"A: b"}, maxFields)...),
	} {
		if r, n, err := new(Reader).Read([]byte(p), limit); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v, %d, %v", name, r, n, err)
		}
	}
}

// FuzzReadAgreesWithNetHTTP holds what is accepted against net/http's own reading.
func FuzzReadAgreesWithNetHTTP(f *testing.F) {
	f.Add([]byte(event + "body"))
	f.Add([]byte("GET /app/k?protocol=7 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"))
	f.Add([]byte("GET /a?\tx#y? HTTP/1.1\r\nhost:h\r\n\r\n"))
	f.Add([]byte("GET /a? HTTP/1.1\r\nhost:h\r\n\r\n"))
	f.Add([]byte("GET /a%20b?x=%zz HTTP/1.1\r\nhost:h\r\nX-A:\t b \r\n\r\n"))
	d := new(Reader)
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _, _ = d.Read([]byte(event+"body"), limit) // nothing of it is in the next
		got, n, err := d.Read(p, limit)
		if err != nil || n == 0 {
			return
		}
		source := bytes.NewReader(p)
		buffered := bufio.NewReader(source)
		want, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", p, err)
		}
		if got.Method != want.Method || *got.URL != *want.URL || got.Host != want.Host || got.RequestURI != want.RequestURI ||
			got.ContentLength != want.ContentLength || want.Close || want.Proto != got.Proto || len(want.TransferEncoding) > 0 {
			t.Errorf("%q\nread %+v\nwant %+v", p, got, want)
		}
		if !maps.EqualFunc(got.Header, want.Header, slices.Equal) {
			t.Errorf("%q\nread %v\nwant %v", p, got.Header, want.Header)
		}
		mine, _ := io.ReadAll(got.Body)
		theirs, err := io.ReadAll(want.Body)
		if err != nil || !bytes.Equal(mine, theirs) {
			t.Errorf("%q\nbody %q\nwant %q, %v", p, mine, theirs, err)
		}
		if left := buffered.Buffered() + source.Len(); left != len(p)-n {
			t.Errorf("%q\ntook %d, net/http leaves %d of %d", p, n, left, len(p))
		}
	})
}
