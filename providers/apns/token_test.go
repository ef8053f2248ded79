package apns

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

func newSigner(t *testing.T, pem string) *signer {
	t.Helper()
	key, err := parseKey([]byte(pem))
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key: key, keyID: "ABCDE12345", teamID: "TEAM123456"}
}

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// TestTokenIsTheSameOnEveryNode: same key, same window, same bytes; and a
// signature that the public key verifies.
func TestTokenIsTheSameOnEveryNode(t *testing.T) {
	pem := newKey(t)
	one, two := newSigner(t, pem), newSigner(t, pem)
	a, err := one.current(noon.Add(4 * time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	b, err := two.current(noon.Add(32 * time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if a.jwt != b.jwt || !a.issued.Equal(noon) {
		t.Errorf("two nodes in one window present %v and %v", a.issued, b.issued)
	}
	parts := strings.Split(a.jwt, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 64 {
		t.Fatalf("signature of %d bytes: %v", len(raw), err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	if !ecdsa.Verify(&one.key.PublicKey, digest[:], r, s) {
		t.Error("the signature is wrong")
	}
	var header struct{ Alg, Kid string }
	var claims map[string]any
	for i, into := range []any{&header, &claims} {
		text, _ := base64.RawURLEncoding.DecodeString(parts[i])
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	if header.Alg != "ES256" || header.Kid != "ABCDE12345" || claims["iss"] != "TEAM123456" ||
		claims["iat"] != float64(noon.Unix()) || len(claims) != 2 {
		t.Errorf("header %+v, claims %v", header, claims)
	}
}

// TestTokensKeepApplesLimits steps a connection through a day, beginning at
// every minute of a window: no token is ever an hour old or from the future, and
// none is changed within 20 minutes.
func TestTokensKeepApplesLimits(t *testing.T) {
	s := newSigner(t, newKey(t))
	for begin := range int(window / time.Minute) {
		now := noon.Add(time.Duration(begin) * time.Minute)
		var held hold
		for range int(24 * time.Hour / time.Minute) {
			next, err := s.renew(held, now)
			if err != nil {
				t.Fatal(err)
			}
			if age := now.Sub(next.issued); age < lateStart || age >= time.Hour {
				t.Fatalf("a token %v old at %v", age, now)
			}
			if held.jwt != "" && next.jwt != held.jwt && (now.Sub(held.since) < holdFor || next.issued.Sub(held.issued) < holdFor) {
				t.Fatalf("changed after %v", now.Sub(held.since))
			}
			held = next
			now = now.Add(time.Minute)
		}
	}
}

// A clock that was ahead is set right: no token of the time that never was is presented
// any more, neither by connections that hold one nor by new ones.
func TestTokensOfAClockThatWasAhead(t *testing.T) {
	for _, forced := range []bool{false, true} {
		s := newSigner(t, newKey(t))
		ahead := noon.Add(time.Hour)
		held, err := s.renew(hold{}, ahead)
		if err != nil {
			t.Fatal(err)
		}
		if forced {
			s.expired(held.bearer, ahead)
			if held, err = s.renew(hold{}, ahead); err != nil {
				t.Fatal(err)
			}
		}
		right := noon.Add(time.Second)
		for _, h := range []hold{held, {}} {
			next, err := s.renew(h, right)
			if err != nil || next.issued.After(right) || right.Sub(next.issued) > time.Hour {
				t.Errorf("at %v a token of %v is presented, %v", right, next.issued, err)
			}
		}
	}
}

func TestExpiredIsRefreshedOnce(t *testing.T) {
	s := newSigner(t, newKey(t))
	now := noon.Add(10 * time.Minute)
	old, err := s.current(now)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 100 { // all that were in flight with it
		wg.Go(func() {
			if s.expired(old, now) {
				t.Error("one of many that were refused together is taken for a second time")
			}
		})
	}
	wg.Wait()
	fresh, err := s.current(now)
	if err != nil || fresh.jwt == old.jwt || !fresh.issued.Equal(now) {
		t.Fatalf("no new token: issued %v, %v", fresh.issued, err)
	}
	if !s.expired(fresh, now.Add(time.Second)) {
		t.Error("the second time in a row must not make a third token")
	}
	if again, _ := s.current(now.Add(time.Minute)); again.jwt != fresh.jwt {
		t.Error("the token was changed again")
	}
	later, _ := s.current(noon.Add(window + lateStart))
	if !later.issued.Equal(noon.Add(window)) {
		t.Errorf("the next window's token is from %v", later.issued)
	}
	// A connection that began with the fresh one keeps it past a window that
	// opened too soon after it, and takes the one after that in time.
	held := hold{bearer: fresh, since: now}
	for at := now; at.Before(now.Add(3 * time.Hour)); at = at.Add(time.Minute) {
		next, err := s.renew(held, at)
		if err != nil {
			t.Fatal(err)
		}
		if next.jwt != held.jwt && next.issued.Sub(held.issued) < holdFor || at.Sub(next.issued) >= time.Hour {
			t.Fatalf("at %v: from %v to %v", at, held.issued, next.issued)
		}
		held = next
	}
}
