package diaphone_test

import (
	"testing"

	"github.com/diaphone-dev/diaphone"
)

// What is taken for a position is written back as it came, but for leading zeros.
func FuzzPosition(f *testing.F) {
	for _, seed := range []string{"", "1f0c4b9a77d2e583:42", ":1", "x:", "x:-1", "x:18446744073709551615", "x:18446744073709551616", "a:b:1", "x:+1", "x:01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := diaphone.ParsePosition(text)
		if err != nil {
			return
		}
		again, err := diaphone.ParsePosition(p.String())
		if err != nil || again != p || len(p.String()) > len(text) {
			t.Errorf("%q became %q, then %+v: %v", text, p, again, err)
		}
	})
}
