package main

import (
	"strings"
	"time"
)

// parseAt reads when to send: a time of day, the next that comes; how long from now;
// or a whole date with its zone.
func parseAt(text string, now time.Time) (time.Time, error) {
	if after, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(after)
		if err != nil || d < 0 {
			return time.Time{}, usagef("time %q: how long from now, as +10m or +1h30m", text)
		}
		return now.Add(d), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		on := func(day int) time.Time {
			return time.Date(now.Year(), now.Month(), day, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		}
		if at := on(now.Day()); at.After(now) {
			return at, nil
		}
		return on(now.Day() + 1), nil
	}
	return time.Time{}, usagef("time %q: write 18:30, +10m or 2026-09-01T18:30:00+02:00", text)
}
