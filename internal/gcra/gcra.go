// Package gcra is the generic cell rate algorithm (ITU-T I.371) as a pure function:
// how often something may happen is a Rate, and all that is kept for whoever does it
// is the time when his next one would be exactly on time.
package gcra

import "time"

// Rate is how often something may happen. The zero value is no limit.
type Rate struct {
	Interval time.Duration // between two of them, on average; 0: no limit
	Slack    time.Duration // how much too early one may come
}

// PerSecond is n a second, of which burst may come at once.
func PerSecond(n, burst int) Rate {
	if n <= 0 {
		return Rate{}
	}
	interval := time.Second / time.Duration(n)
	return Rate{Interval: interval, Slack: time.Duration(max(burst, 1)-1) * interval}
}

// PerMinute is n a minute, all of which may come at once.
func PerMinute(n int) Rate {
	if n <= 0 {
		return Rate{}
	}
	interval := time.Minute / time.Duration(n)
	return Rate{Interval: interval, Slack: time.Duration(n-1) * interval}
}

// Take books n at once. Its state is due; the zero time is a fresh one. When there
// is no room for all of them, none is booked: wait is how long until there is, and
// next is due as it was.
func (r Rate) Take(due, now time.Time, n int) (next time.Time, wait time.Duration) {
	if r.Interval <= 0 {
		return due, 0
	}
	start := due
	if start.Before(now) {
		start = now
	}
	last := start.Add(time.Duration(n-1) * r.Interval) // when the last would be on time
	if wait := last.Sub(now) - r.Slack; wait > 0 {
		return due, wait
	}
	return last.Add(r.Interval), 0
}

// Left is how many more could be taken now.
func (r Rate) Left(due, now time.Time) int {
	if r.Interval <= 0 {
		return 0
	}
	return max(0, int((r.Slack+r.Interval-max(0, due.Sub(now)))/r.Interval))
}
