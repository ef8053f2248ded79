// Package h1 reads the plain kind of HTTP/1.1 request: GET or POST, come whole, with
// nothing in it that needs thought. Everything else it leaves to net/http, and where
// it is in doubt it leaves. What it accepts it understands as net/http does, which a
// fuzz test holds it to: two opinions on where a request ends are what request
// smuggling lives on (RFC 9112 §11.2).
package h1

import (
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// ErrOther is the answer to what is for net/http: it may be wrong or merely rare.
var ErrOther = errors.New("h1: not a plain request")

// maxFields bounds the header fields of a request.
const maxFields = 64

// Reader reads requests one after the other into the same memory: what it gives is
// valid until it reads the next, but for the strings in it, which stay.
type Reader struct {
	request http.Request
	url     url.URL
	header  http.Header
	values  [maxFields]string // of the header, one array for all
	body    body
}

// body is a request's body that has come already.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

// Read reads one request off the head of p and tells how many bytes it took; 0
// without an error when more must come first. A request of more than limit bytes,
// head and body, is ErrOther as soon as that can be told. The body reads from p.
func (d *Reader) Read(p []byte, limit int) (r *http.Request, n int, err error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		if len(p) >= limit || !plainStart(p) {
			return nil, 0, ErrOther
		}
		return nil, 0, nil
	}
	line, rest, _ := strings.Cut(string(p[:end+2]), "\r\n")
	if !d.readLine(line) || !d.readFields(rest) || !d.settle(limit) {
		return nil, 0, ErrOther
	}
	r = &d.request
	n = end + 4 + int(r.ContentLength)
	if n > limit {
		return nil, 0, ErrOther
	}
	if n > len(p) {
		return nil, 0, nil
	}
	r.Body = http.NoBody
	if r.ContentLength > 0 {
		d.body.Reset(p[end+4 : n])
		r.Body = &d.body
	}
	return r, n, nil
}

// plainStart tells whether what has come so far can still become a plain request. A
// line that ends without a carriage return makes it none: net/http takes it for one.
func plainStart(p []byte) bool {
	for i, b := range p {
		if b == '\n' && (i == 0 || p[i-1] != '\r') {
			return false
		}
	}
	for _, method := range []string{"GET /", "POST /"} {
		n := min(len(p), len(method))
		if string(p[:n]) == method[:n] {
			return true
		}
	}
	return false
}

// readLine reads the request line; it is false for one that is not plain.
func (d *Reader) readLine(line string) bool {
	method, rest, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(rest, " ")
	if method != http.MethodGet && method != http.MethodPost || proto != "HTTP/1.1" {
		return false
	}
	// A target of two slashes may be taken for a host by one reader and not by another.
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || !d.readTarget(target) {
		return false
	}
	if d.header == nil {
		d.header = http.Header{}
	}
	clear(d.header)
	d.request = http.Request{
		Method: method, URL: &d.url, RequestURI: target,
		Proto: proto, ProtoMajor: 1, ProtoMinor: 1,
		Header: d.header,
	}
	return true
}

// readTarget is url.ParseRequestURI, and quicker with what nearly all targets consist
// of: a path without escapes and a printable query.
func (d *Reader) readTarget(target string) bool {
	path, query, asks := strings.Cut(target, "?")
	if plainPath(path) && asks == (query != "") && printable(query) && strings.IndexByte(query, '\t') < 0 {
		d.url = url.URL{Path: path, RawQuery: query}
		return true
	}
	u, err := url.ParseRequestURI(target)
	if err == nil {
		d.url = *u
	}
	return err == nil
}

// plainPath tells whether everything in a path stands for itself.
func plainPath(s string) bool {
	for i := range len(s) {
		b := s[i]
		alnum := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !alnum && strings.IndexByte("/-_.~", b) < 0 {
			return false
		}
	}
	return true
}

// readFields reads the header fields. Folded lines, bare line feeds, empty names,
// anything outside printable ASCII and what changes how a body is read are not plain.
func (d *Reader) readFields(lines string) bool {
	for i := 0; lines != ""; i++ {
		line, rest, _ := strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || i == maxFields || !httpguts.ValidHeaderFieldName(name) || !printable(value) {
			return false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Transfer-Encoding", "Trailer", "Te", "Expect", "Pragma":
			return false
		}
		if _, before := d.header[name]; before {
			return false // net/http knows which fields may come twice
		}
		d.values[i] = strings.Trim(value, " \t")
		d.header[name] = d.values[i : i+1 : i+1]
		lines = rest
	}
	return true
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] != '\t' && (s[i] < ' ' || s[i] > '~') {
			return false
		}
	}
	return true
}

// settle takes out of the header what decides on the connection and the body.
func (d *Reader) settle(limit int) bool {
	r := &d.request
	host := r.Header["Host"]
	if len(host) != 1 || host[0] == "" || !httpguts.ValidHostHeader(host[0]) {
		return false
	}
	r.Host = host[0]
	delete(r.Header, "Host")
	switch strings.ToLower(r.Header.Get("Connection")) {
	case "", "keep-alive":
		if _, there := r.Header["Upgrade"]; there {
			return false
		}
	case "upgrade", "keep-alive, upgrade":
		if r.Method != http.MethodGet {
			return false
		}
	default:
		return false
	}
	length, given := r.Header["Content-Length"]
	if !given {
		return true
	}
	n, err := strconv.ParseUint(length[0], 10, 31)
	r.ContentLength = int64(n)
	return err == nil && length[0] == strconv.FormatUint(n, 10) && n <= uint64(limit) && (n == 0 || r.Method == http.MethodPost)
}
