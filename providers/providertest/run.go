// Package providertest is what every provider must pass, and the simulator kit
// that providers' own tests use. The suite plays a hostile vendor: any status,
// any body, redirects, silence, cut connections, secrets echoed back. What
// particular words of a vendor mean is for the provider's own tests.
package providertest

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
)

// Subject is a provider under test.
type Subject struct {
	TLS    bool               // its vendor speaks HTTP/2 over TLS
	Kind   diaphone.TokenKind // of its tokens
	Secret []string           // texts out of its credential that must never appear anywhere
	Accept http.HandlerFunc   // the vendor's success
	Gone   http.HandlerFunc   // the vendor's explicit word that the token is dead

	// Token gives a token of a device that the vendor serves: well-formed, at least
	// 32 characters, unlike any other text.
	Token func(v *Vendor) string
	// AcceptedBy are statuses that alone mean success; none: 200 does.
	AcceptedBy []int
	// GoneBy are statuses that alone mean that the token is dead.
	GoneBy []int
	// Probes are answers to a probe, and what must be made of them. None: the vendor
	// can only be asked for a device, and a probe must not ask it.
	Probes []Probe
	// Mute: no request carries the credential; the connection does.
	Mute bool
	// Nameless: the vendor gives an accepted push no name that could be repeated.
	Nameless bool

	New   func(t testing.TB, v *Vendor) providers.Provider
	Leaks []goleak.Option // goroutines that are not the provider's
}

// Run puts the provider through the suite.
func Run(t *testing.T, s Subject) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"accepts and buries on the vendor's word only", testWords},
		{"gives a verdict for every status", testEveryStatus},
		{"survives malformed bodies", testMalformedBodies},
		{"bounds an endless body", testEndlessBody},
		{"never follows a redirect", testRedirects},
		{"ends a hang with its context", testHang},
		{"takes a cut connection for no answer", testCut},
		{"takes an unreachable vendor for no answer", testUnreachable},
		{"sends nothing for a delivery that cannot be sent", testUnsendable},
		{"keeps secrets", testSecrets},
		{"can be closed at any time", testClose},
		{"serves many at once", testConcurrency},
		{"renders what it sends", testRender},
		{"probes its credential", testProbes},
		{"takes no status for more than it says", testProbeStatuses},
		{"probes in bounded time", testProbeSilence},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			// Registered first to run last, when the provider and the vendor are closed.
			t.Cleanup(func() { goleak.VerifyNone(t, append(slices.Clone(s.Leaks), before)...) })
			test.run(t, s)
		})
	}
}

// bench is one provider against one vendor.
type bench struct {
	t *testing.T
	s Subject
	v *Vendor
	p providers.Provider
}

func (s Subject) against(t *testing.T, h http.HandlerFunc) *bench {
	t.Helper()
	v := NewVendor(t, s.TLS)
	v.Answer(h)
	return &bench{t: t, s: s, v: v, p: s.open(t, v)}
}

// open makes a provider that is closed with the test.
func (s Subject) open(t *testing.T, v *Vendor) providers.Provider {
	t.Helper()
	p := s.New(t, v)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

// send makes one attempt and checks what is true of every outcome.
func (b *bench) send(ctx context.Context) diaphone.Outcome {
	b.t.Helper()
	o := b.p.Send(ctx, b.delivery())
	b.check(o)
	return o
}

func (b *bench) token() string { return b.s.Token(b.v) }

func (b *bench) delivery() *diaphone.Delivery { return Delivery(Hello(), b.s.Kind, b.token()) }

func (b *bench) check(o diaphone.Outcome) {
	b.t.Helper()
	switch o.Verdict {
	case diaphone.Accepted, diaphone.Refused, diaphone.Gone, diaphone.Suspect, diaphone.Retry,
		diaphone.Throttled, diaphone.Denied, diaphone.Unknown:
	default:
		b.t.Errorf("no verdict: %+v", o)
	}
	if (o.Err == nil) != (o.Verdict == diaphone.Accepted) {
		b.t.Errorf("an outcome has an error unless it is accepted: %+v", o)
	}
	if o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour {
		b.t.Errorf("retry after %v", o.RetryAfter)
	}
	if o.Lane && o.Verdict != diaphone.Throttled || !o.GoneSince.IsZero() && o.Verdict != diaphone.Gone {
		b.t.Errorf("fields of another verdict: %+v", o)
	}
}

// bounded is a context for what should come at once.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Bound)
	t.Cleanup(cancel)
	return ctx
}

// logs catches what is logged while the test runs.
func logs(t *testing.T) *buffer {
	t.Helper()
	b := &buffer{}
	old, flags, out := slog.Default(), log.Flags(), log.Writer()
	slog.SetDefault(slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(b)
	t.Cleanup(func() {
		slog.SetDefault(old)
		log.SetFlags(flags)
		log.SetOutput(out)
	})
	return b
}

type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
