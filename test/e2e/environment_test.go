package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// startSandbox runs the other half of APNs in this process, with one phone in it.
func startSandbox(t *testing.T) (*sim.Sim, string, *phone.Phone) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	s, err := sim.New(t.TempDir(), sim.Options{Address: address, SandboxAddress: address})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	phones, err := s.Phones().Add(phone.Spec{Name: "debug", Platform: phone.IOS, Environment: phone.Sandbox, Topic: s.Credentials().Topic})
	if err != nil {
		t.Fatal(err)
	}
	return s, address, phones[0]
}

// TestADebugBuildsToken: an app is built for debugging and registers as if it were
// not. Its first notification arrives all the same, and the device's record says
// from then on where its token belongs.
func TestADebugBuildsToken(t *testing.T) {
	sandbox, address, ana := startSandbox(t)
	w := harness.NewWorld(t, func(apps string) string {
		c := sandbox.Credentials()
		return strings.Replace(apps, "    fcm:\n", fmt.Sprintf(
			"      - { name: dev, environment: sandbox, key_file: %s, team_id: %s, topic: %s, host: %q, ca_file: %s }\n    fcm:\n",
			c.APNsKeyFile, c.TeamID, c.Topic, address, c.CAFile), 1)
	})
	put := func(env diaphone.Environment) wire.Device {
		d, err := w.Client.PutDevice(t.Context(), "debug", wire.NewDevice{Platform: diaphone.IOS, Channels: []diaphone.ChannelName{"news"},
			Tokens: []wire.NewToken{{Kind: diaphone.TokenAPNs, Value: ana.Token, Environment: env}}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	put(diaphone.Production)
	for i, credential := range []string{"apns", "dev"} {
		m := w.Await(w.Send("news", "hello"), 20*time.Second)
		d := deliveries(t, w, m.ID)[0]
		if d.State != diaphone.Delivered || d.Credential != credential || len(d.Attempts) != 1 || d.Attempts[0].Status != 200 {
			t.Errorf("message %d: %+v", i, d)
		}
		if shown := sandbox.Phones().Inbox().Newest("debug", 10); len(shown) != i+1 {
			t.Errorf("message %d: the phone shows %d", i, len(shown))
		}
		stored, err := w.Client.Device(t.Context(), "debug")
		if err != nil || stored.Tokens[0].Environment != diaphone.Sandbox {
			t.Errorf("message %d: %+v, %v", i, stored.Tokens, err)
		}
	}
	if again := put(""); again.Tokens[0].Environment != diaphone.Sandbox {
		t.Errorf("registered again without an environment: %+v", again.Tokens)
	}
}
