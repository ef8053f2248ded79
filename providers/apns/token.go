package apns

import (
	"crypto/ecdsa"
	"fmt"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone/providers/internal/es256"
)

// Apple's limits on provider tokens ("Establishing a token-based connection to
// APNs"): a token is at most an hour old, and one connection changes its token
// at most every 20 minutes.
//
// Tokens are issued by the clock, in windows, and signed deterministically, so
// that every node of a fleet presents the same token without talking to the
// others. A connection keeps the token it has for holdFor. The oldest token in
// use is then lateStart + window + holdFor = 53 minutes old.
const (
	window    = 30 * time.Minute
	lateStart = 3 * time.Minute // a clock that runs ahead must not issue from Apple's future
	holdFor   = 20 * time.Minute
)

// bearer is a provider token and the time it was issued for.
type bearer struct {
	jwt    string
	issued time.Time
}

// hold is the token that one connection presents, and since when.
type hold struct {
	bearer
	since time.Time
}

// signer issues provider tokens: one signature a window, however many ask. None,
// nil, is for connections that a certificate speaks for: they present no token.
type signer struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string

	mu      sync.Mutex
	regular bearer // of the current window
	forced  bearer // issued out of turn, after Apple called a regular one expired
}

// current gives the token to begin a connection with.
func (s *signer) current(now time.Time) (bearer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issued := now.Add(-lateStart).Truncate(window)
	if s.forced.issued.After(issued) && !fromFuture(s.forced, now) {
		return s.forced, nil
	}
	if !s.regular.issued.Equal(issued) || s.regular.jwt == "" {
		jwt, err := s.sign(issued)
		if err != nil {
			return bearer{}, err
		}
		s.regular = bearer{jwt: jwt, issued: issued}
	}
	return s.regular, nil
}

// renew gives the token that a connection which holds h presents now. It changes
// only for one that was issued long enough after the old, and only when the old
// has been in use long enough.
func (s *signer) renew(h hold, now time.Time) (hold, error) {
	if s == nil {
		return h, nil
	}
	b, err := s.current(now)
	if err != nil {
		return h, err
	}
	if h.jwt != "" && !fromFuture(h.bearer, now) && (b.issued.Sub(h.issued) < holdFor || now.Sub(h.since) < holdFor) {
		return h, nil
	}
	return hold{bearer: b, since: now}, nil
}

// fromFuture tells of a token that was issued while the clock was ahead. Apple refuses
// it for as long as the clock was wrong, so nobody keeps it.
func fromFuture(b bearer, now time.Time) bool { return b.issued.Sub(now) > lateStart }

// expired hears that Apple called a token expired. It issues one for this very
// moment, once, for new connections to present; when that is refused too, again
// is true: the clock or the key is wrong, and another token would not help.
func (s *signer) expired(refused bearer, now time.Time) (again bool) {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused.issued.Before(s.forced.issued) {
		return false // another attempt has seen to it
	}
	if refused.jwt == s.forced.jwt || now.Sub(s.forced.issued) < holdFor {
		return true
	}
	issued := now.Truncate(time.Second)
	jwt, err := s.sign(issued)
	if err != nil {
		return true
	}
	s.forced = bearer{jwt: jwt, issued: issued}
	return false
}

// sign makes the token that is issued for the time.
func (s *signer) sign(issued time.Time) (string, error) {
	return es256.Token(s.key, fmt.Appendf(nil, `{"alg":"ES256","kid":%q}`, s.keyID),
		fmt.Appendf(nil, `{"iss":%q,"iat":%d}`, s.teamID, issued.Unix()))
}
