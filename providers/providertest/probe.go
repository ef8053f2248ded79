package providertest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/providers"
)

// Probe is one answer of a vendor to a probe, and what must be made of it.
type Probe struct {
	Name  string
	Push  http.HandlerFunc // nil: the vendor's success
	OAuth http.HandlerFunc // nil: a token is handed out
	Grade providers.Grade
	Says  string // part of detail or advice
}

func testProbes(t *testing.T, s Subject) {
	for _, c := range s.Probes {
		b := s.against(t, s.Accept)
		if c.Push != nil {
			b.v.Answer(c.Push)
		}
		if c.OAuth != nil {
			b.v.OAuth(c.OAuth)
		}
		f := b.probe(bounded(t))
		if f.Grade != c.Grade || !strings.Contains(f.Detail+" "+f.Advice, c.Says) || f.Unanswered {
			t.Errorf("%s: %+v, want %s and %q", c.Name, f, c.Grade, c.Says)
		}
		if n := b.v.Pushes(); n > 2 {
			t.Errorf("%s: %d requests for one probe", c.Name, n)
		}
	}
	b := s.against(t, s.Accept)
	f := b.probe(bounded(t))
	if n := b.v.Pushes(); (n == 0) != (len(s.Probes) == 0) {
		t.Errorf("%d requests for a probe: %+v", n, f)
	}
	if f.Grade == providers.Faulty {
		t.Errorf("the vendor is content: %+v", f)
	}
	if f.Clocked && f.Ahead.Abs() > Bound {
		t.Errorf("the vendor has our clock, not one that is %v ahead", f.Ahead)
	}
	if err := b.p.Close(); err != nil {
		t.Fatal(err)
	}
	if f := b.probe(bounded(t)); f.Grade == providers.Sound {
		t.Errorf("sound after Close: %+v", f)
	}
}

// testProbeStatuses: only an answer that the vendor can give to a sound credential
// makes one; what nobody knows is never a fault of the operator's.
func testProbeStatuses(t *testing.T, s Subject) {
	if len(s.Probes) == 0 {
		return
	}
	b := s.against(t, nil)
	for status := 200; status < 600; status += 3 {
		for _, body := range []string{"", `{"reason":"NeverHeardOf","error":{"status":"NEVER_HEARD_OF"}}`, "<html>"} {
			b.v.Answer(reply(status, body))
			f := b.probe(bounded(t))
			what := fmt.Sprintf("status %d, body %q: %+v", status, body, f)
			switch {
			case f.Grade == providers.Sound && status != http.StatusOK:
				t.Errorf("sound: %s", what)
			case f.Grade != providers.Doubtful && (status >= 500 || status == http.StatusTooManyRequests):
				t.Errorf("the vendor's trouble is not the credential's: %s", what)
			}
		}
	}
}

func testProbeSilence(t *testing.T, s Subject) {
	if len(s.Probes) == 0 {
		return
	}
	release := make(chan struct{})
	b := s.against(t, hang(release))
	defer close(release)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	b.isMute(b.probe(ctx))
	gone := s.against(t, s.Accept)
	gone.v.server.CloseClientConnections()
	gone.v.server.Close()
	gone.isMute(gone.probe(bounded(t)))
}

// isMute checks what is found where nobody answers.
func (b *bench) isMute(f providers.Finding) {
	b.t.Helper()
	if f.Grade != providers.Faulty || !f.Unanswered {
		b.t.Errorf("nobody has answered: %+v", f)
	}
}

// probe makes a probe and checks what is true of every finding.
func (b *bench) probe(ctx context.Context) providers.Finding {
	b.t.Helper()
	f := b.p.Probe(ctx)
	switch f.Grade {
	case providers.Sound, providers.Doubtful, providers.Faulty:
	default:
		b.t.Errorf("no grade: %+v", f)
	}
	if f.Detail == "" || (f.Advice == "") != (f.Grade == providers.Sound) {
		b.t.Errorf("a finding says what is so, and what to do unless it is sound: %+v", f)
	}
	if strings.ContainsAny(f.Detail+f.Advice, "\n\x00") {
		b.t.Errorf("a finding is one line: %+v", f)
	}
	return f
}
