package webpush

import (
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone/providers"
)

func TestProbe(t *testing.T) {
	for subject, grade := range map[string]providers.Grade{
		"mailto:ops@diaphone.dev":         providers.Sound,
		"https://diaphone.dev/contact":    providers.Sound,
		"mailto:ops@example.com":          providers.Doubtful,
		"mailto:ops@push.EXAMPLE.org":     providers.Doubtful,
		"https://push.example.net/who":    providers.Doubtful,
		"mailto:ops@gateway.test":         providers.Doubtful,
		"mailto:example.com@diaphone.dev": providers.Sound,
		"https://notexample.com/":         providers.Sound,
	} {
		c := config(newKey(t))
		c.Subject = subject
		p, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		f := p.Probe(t.Context())
		if f.Grade != grade || (grade == providers.Sound) != strings.Contains(f.Detail, p.signer.public) {
			t.Errorf("%s: %+v", subject, f)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
