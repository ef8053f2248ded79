package webpush

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a running simulator and a provider that sends to it.
type lab struct {
	*providertest.Lab
	sim *sim.Sim
	p   *Provider
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.New(t.TempDir(), sim.Options{Address: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the simulator ended with %v", err)
		}
	})
	key, err := os.ReadFile(s.Credentials().VAPIDKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	c := config(string(key))
	c.Guard = egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Only(append(Hosts(), "127.0.0.1")...)
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &lab{Lab: providertest.NewLab(t, l.Addr().String()), sim: s, p: p}
}

// browser adds a browser that has subscribed with the key; empty: with ours.
func (l *lab) browser(t testing.TB, name, vapidKey string) string {
	t.Helper()
	if vapidKey == "" {
		vapidKey = l.sim.Credentials().VAPIDPublicKey
	}
	phones, err := l.sim.Phones().Add(phone.Spec{Name: name, Platform: phone.Web, VAPIDKey: vapidKey})
	if err != nil {
		t.Fatal(err)
	}
	p256dh, auth := phones[0].Browser.Keys()
	return diaphone.SubscriptionToken("http://"+l.Addr+"/wpush/v2/"+phones[0].Token, p256dh, auth).Reveal()
}

func (l *lab) send(t testing.TB, m *diaphone.Message, token string) diaphone.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), providertest.Bound)
	defer cancel()
	return l.p.Send(ctx, providertest.Delivery(m, diaphone.TokenWebPush, token))
}

func TestAgainstThePushService(t *testing.T) {
	l := newLab(t)
	ana := l.browser(t, "ana", "")
	for _, n := range []diaphone.Notification{
		{Title: "Ben", Body: "hello", CollapseID: "chat/7", Data: map[string]string{"chat": "7"}},
		{Title: "quiet", Priority: diaphone.PriorityNormal, TTL: new(int)},
		{Data: map[string]string{"sync": "1"}},
	} {
		m := providertest.Message(n)
		if o := l.send(t, m, ana); o.Verdict != diaphone.Accepted || o.Status != http.StatusCreated {
			t.Fatalf("%+v", o)
		}
		rendered, err := l.p.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		got := l.Inbox("ana")[0]
		for name, want := range rendered.Header {
			if got.Headers[name] != want {
				t.Errorf("%s: %q, rendered as %q", name, got.Headers[name], want)
			}
		}
		if got.Title != n.Title || got.Body != n.Body || len(got.Payload) != len(rendered.Payload) || got.Headers["Sim-Fault"] != "" {
			t.Errorf("%+v\nrendered as %s", got, rendered.Payload)
		}
	}
	l.Move("ana", "uninstalled")
	if o := l.send(t, hello(), ana); o.Verdict != diaphone.Gone || o.Reason != "errno_106" {
		t.Errorf("%+v", o)
	}
	if o := l.send(t, hello(), l.browser(t, "eve", "BAAA")); o.Verdict != diaphone.Suspect || o.Err == nil {
		t.Errorf("a subscription of another key: %+v", o)
	}
}

func TestFaultsOfThePushService(t *testing.T) {
	l := newLab(t)
	ana := l.browser(t, "ana", "")
	for _, c := range []struct {
		fault   providertest.Fault
		verdict diaphone.Verdict
		seconds float64
	}{
		{providertest.Fault{Status: 404}, diaphone.Gone, 0},
		{providertest.Fault{Status: 410}, diaphone.Gone, 0},
		{providertest.Fault{Status: 413}, diaphone.Refused, 0},
		{providertest.Fault{Reason: "no_ttl"}, diaphone.Refused, 0},
		{providertest.Fault{Status: 429, RetryAfter: 30}, diaphone.Throttled, 30},
		{providertest.Fault{Reason: "try_again"}, diaphone.Retry, 120},
		{providertest.Fault{Status: 500}, diaphone.Retry, 0},
		{providertest.Fault{Reason: "bridge"}, diaphone.Retry, 0},
	} {
		c.fault.Provider = "webpush"
		l.Faults(c.fault)
		if o := l.send(t, hello(), ana); o.Verdict != c.verdict || o.RetryAfter.Seconds() != c.seconds {
			t.Errorf("%+v: %+v", c.fault, o)
		}
	}
	l.Faults()
	if o := l.send(t, hello(), ana); o.Verdict != diaphone.Accepted {
		t.Errorf("%+v", o)
	}
}
