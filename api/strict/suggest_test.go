package strict

import (
	"slices"
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	known := []string{"users", "devices", "channels"}
	for name, want := range map[string]string{"user": "users", "Channels": "channels", "chanels": "channels", "x": "", "": "", "segments": "", strings.Repeat("u", 99): ""} {
		if got := closest(name, known); got != want {
			t.Errorf("closest to %q: %q, want %q", name, got, want)
		}
	}
	if !slices.Equal(jsonNames(nil), nil) {
		t.Error("names of no type")
	}
}
