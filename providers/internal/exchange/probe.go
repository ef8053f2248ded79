package exchange

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"
)

// NobodysToken gives 64 hex digits at random: a device token that nobody has.
func NobodysToken() string {
	var b [32]byte
	rand.Read(b[:]) //nolint:errcheck // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// Ahead tells how far the clock of whoever answered is ahead of ours, by the
// header Date, which has seconds.
func Ahead(h http.Header, now time.Time) (ahead time.Duration, known bool) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	return at.Sub(now).Round(time.Second), true
}
