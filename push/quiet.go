package push

import (
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// quiet knows the devices that a provider wants to be left alone: APNs' and FCM's
// limits for one device, a push service's for one subscription. What else is owed to
// such a device waits without an attempt; no other device does. It belongs to the
// lane's goroutine.
type quiet map[diaphone.DeviceID]time.Time

// maxQuiet bounds it. A device beyond is found out by an attempt.
const maxQuiet = 10_000

// hush leaves a device alone until a time.
func (q quiet) hush(d diaphone.DeviceID, until, now time.Time) {
	if len(q) >= maxQuiet {
		for other, end := range q {
			if !end.After(now) {
				delete(q, other)
			}
		}
	}
	if len(q) < maxQuiet && until.After(q[d]) {
		q[d] = until
	}
}

// until tells how long the device is to be left alone; zero: it is not.
func (q quiet) until(d diaphone.DeviceID, now time.Time) time.Time {
	end, known := q[d]
	if known && !end.After(now) {
		delete(q, d)
		return time.Time{}
	}
	return end
}

// putOff takes the delivery that peek gave off the list if its device is to be left
// alone. It comes back a little later than the one that was refused, and one after
// the other.
func (l *lane) putOff(h *held, item storage.Item, now time.Time) bool {
	until := l.quiet.until(item.Device, now)
	if until.IsZero() {
		return false
	}
	l.work.pop()
	l.flying++
	r := ended(item, diaphone.Pending, diaphone.ReasonDeviceThrottled)
	expires := h.batch.Message.Expires
	r.RetryAt = until.Add(min(jitter(throttled, 0), max(0, expires.Sub(until)/2)))
	if !until.Before(expires) {
		r.State, r.Reason, r.RetryAt = diaphone.Expired, diaphone.ReasonExpired, time.Time{}
	}
	l.results = append(l.results, attempted{held: h, result: r})
	return true
}
