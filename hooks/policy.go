package hooks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/diaphone-dev/diaphone/internal/egress"
)

// How often an endpoint is tried: full jitter over a window that doubles (AWS
// Architecture Blog, "Exponential Backoff And Jitter"), up to a minute, so that an
// endpoint that is back is found soon, for a day. Age alone gives nothing up: after a
// stop of days all is old, and an endpoint that is slow takes what is.
const (
	firstWindow = time.Second
	maxWindow   = time.Minute
	maxAdvice   = time.Hour      // a longer Retry-After is taken as this
	giveUpAfter = 24 * time.Hour // of what waits
	giveUpUpon  = time.Hour      // of attempts in vain, by this process
)

// answer is what became of one attempt.
type answer struct {
	status int    // of the response; 0: there was none
	fault  string // in a word or two, without the URL; empty: the notices were taken
	advice time.Duration
}

// answerOf reads a response. Only 2xx takes the notices; a redirect is not followed.
func answerOf(r *http.Response, now time.Time) answer {
	a := answer{status: r.StatusCode}
	if r.StatusCode/100 == 2 {
		return a
	}
	a.fault = strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", http.StatusText(r.StatusCode)))
	if r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusServiceUnavailable {
		a.advice = min(retryAfter(r.Header.Get("Retry-After"), now), maxAdvice)
	}
	return a
}

// retryAfter reads a Retry-After (RFC 9110 §10.2.3): seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// wait is how long to wait after so many attempts in vain.
func (a *answer) wait(tries int) time.Duration {
	window := maxWindow
	if tries <= 6 { // 2^6 s is beyond the cap
		window = min(firstWindow<<max(0, tries-1), maxWindow)
	}
	return max(a.advice, rand.N(window))
}

// class is the answer for a metric: one of few words.
func (a *answer) class() string {
	if a.status > 0 {
		return fmt.Sprint(a.status/100, "xx")
	}
	return a.fault
}

// faultOf names what went wrong without an answer. The errors of an HTTP client
// repeat the URL, in which there may be a secret, so their text is not used.
func faultOf(err error) string {
	var timeout net.Error
	var dns *net.DNSError
	var handshake *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, egress.ErrForbidden):
		return "forbidden address"
	case errors.Is(err, context.Canceled):
		return "cut short"
	case errors.As(err, &dns):
		return "host not found"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &handshake), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &unknown):
		return "TLS"
	}
	return "connection lost"
}
