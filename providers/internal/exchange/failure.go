package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
)

// Reasons of attempts that got no answer. They stand where a vendor's word
// otherwise would, in lower case to be told from one.
const (
	Timeout        = "timeout"         // the attempt's time ran out
	Cancelled      = "cancelled"       // the caller gave up
	Unreachable    = "unreachable"     // no connection could be made
	TLSFailed      = "tls_failed"      // the vendor's certificate or handshake is bad
	ConnectionLost = "connection_lost" // sent perhaps, answered never
)

// Failure describes an attempt that got no answer. The error is flat text: the
// original may hold a URL with a token in it, and a vendor's words.
func Failure(err error, secrets ...string) (reason string, flat error) {
	var u *url.Error
	for errors.As(err, &u) { // its text is the whole URL
		err = u.Err
	}
	text := Quote(err.Error(), secrets...)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout, fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return Cancelled, fmt.Errorf("the attempt was given up: %w", context.Canceled)
	case isTLS(err):
		return TLSFailed, errors.New(text)
	case isDial(err):
		return Unreachable, errors.New(text)
	}
	return ConnectionLost, errors.New(text)
}

func isTLS(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &authority)
}

func isDial(err error) bool {
	var (
		op  *net.OpError
		dns *net.DNSError
	)
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}
