package exchange

import (
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Remaining gives the seconds that the message has left at its provider. A
// message of TTL 0 has none at any time: now or never.
func Remaining(m *diaphone.Message, now time.Time) int {
	if m == nil || m.Notification == nil {
		return 0
	}
	ttl := m.Notification.TTLSeconds()
	if ttl == 0 || m.Expires.IsZero() {
		return ttl
	}
	left := (m.Expires.Sub(now) + time.Second - 1) / time.Second
	return min(max(int(left), 0), ttl)
}
