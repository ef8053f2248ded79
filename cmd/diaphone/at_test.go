package main

import (
	"testing"
	"time"
)

func TestTimesToSendAt(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 24, 12, 0, 0, 0, vienna) // the night after, clocks are set back
	for text, want := range map[string]string{
		"18:30":                     "2026-10-24T18:30:00+02:00",
		"12:00":                     "2026-10-25T12:00:00+01:00",
		"11:59:59":                  "2026-10-25T11:59:59+01:00",
		"12:00:01":                  "2026-10-24T12:00:01+02:00",
		"+10m":                      "2026-10-24T12:10:00+02:00",
		"+24h":                      "2026-10-25T11:00:00+01:00",
		"+0s":                       "2026-10-24T12:00:00+02:00",
		"2026-10-25T00:00:00Z":      "2026-10-25T02:00:00+02:00",
		"2026-10-25T02:30:00+01:00": "2026-10-25T02:30:00+01:00",
		"":                          "",
		"10m":                       "",
		"+-10m":                     "",
		"+":                         "",
		"25:00":                     "",
		"tomorrow":                  "",
		"2026-10-25T02:30:00":       "",
	} {
		at, err := parseAt(text, now)
		got := ""
		if err == nil {
			got = at.In(vienna).Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}
