// Package exchange is what every HTTP provider does alike with its vendor's
// answers and with a publisher's overrides: read with a bound, quote without
// secrets, merge deterministically. What an answer means is each provider's own
// business.
package exchange

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is a vendor's reply to one request, read with a bound. The zero value
// means that none came.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most what Read was allowed; shorter when the connection broke
}

// Read takes at most limit bytes of the body and closes it. A body that breaks
// off is no error: the status has been said by then, and a body that cannot be
// parsed is never taken for a vendor's word.
func Read(resp *http.Response, limit int64) Answer {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
	_ = resp.Body.Close()
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
}

// longestWait bounds what a vendor can ask for: beyond a day an answer is more
// likely broken than meant.
const longestWait = 24 * time.Hour

// RetryAfter reads the header in both its forms, seconds and HTTP date (RFC 9110
// §10.2.3). 0: absent, unreadable or in the past.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, longestWait)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}
