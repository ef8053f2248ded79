package push_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
)

// apple is an app with a credential for each environment of APNs. A token that does
// not begin with its environment's letter, p or s, is bad there.
type apple struct {
	*world
	sandbox *vendor
}

func startApple(t *testing.T) *apple {
	knows := func(letter byte) func(*diaphone.Delivery, int) diaphone.Outcome {
		return func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Token.Value.Reveal()[0] == letter {
				return accept(d, nth)
			}
			return diaphone.Outcome{Verdict: diaphone.Suspect, Status: 400, Reason: "BadDeviceToken"}
		}
	}
	a := &apple{sandbox: &vendor{answer: knows('s')}}
	a.world = start(t, diaphone.Credential{Provider: diaphone.APNs, Environment: diaphone.Production, Concurrency: 10}, knows('p'))
	a.app.Credentials = append(a.app.Credentials, diaphone.Credential{Name: "dev", Provider: diaphone.APNs, Environment: diaphone.Sandbox})
	a.others = map[string]providers.Provider{"dev": a.sandbox}
	return a
}

func (a *apple) phone(id string, token diaphone.Secret, env diaphone.Environment) {
	a.put(diaphone.Device{App: "1", ID: diaphone.DeviceID(id), Platform: diaphone.IOS, User: "ana", Channels: []diaphone.ChannelName{"news"},
		Tokens: []diaphone.Token{{Kind: diaphone.TokenAPNs, Value: token, Environment: env}}})
}

// notify sends to one device and waits for the end of it.
func (a *apple) notify(id string) diaphone.Counts {
	m := a.send(diaphone.Audience{Devices: []diaphone.DeviceID{diaphone.DeviceID(id)}}, 3600, diaphone.Always)
	a.until(time.Minute, a.finished(m))
	return a.counts(m)
}

func (a *apple) environment(id string) diaphone.Environment {
	a.t.Helper()
	d, err := a.store.Device(a.t.Context(), "1", diaphone.DeviceID(id))
	if err != nil || len(d.Tokens) != 1 {
		a.t.Fatalf("%+v, %v", d, err)
	}
	return d.Tokens[0].Environment
}

// A token of a build for debugging finds its environment by itself, whether its
// registration said nothing or the wrong thing, and stays there.
func TestATokenOfTheOtherEnvironment(t *testing.T) {
	for _, said := range []diaphone.Environment{"", diaphone.Production} {
		t.Run(fmt.Sprintf("said %q", said), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := startApple(t)
				defer a.run()()
				a.phone("debug", "s1", said)
				if c := a.notify("debug"); c.Delivered != 1 {
					t.Fatalf("%+v", c)
				}
				if got := a.environment("debug"); got != diaphone.Sandbox {
					t.Errorf("recorded as %q", got)
				}
				if n, m := len(a.vendor.sendings()), len(a.sandbox.sendings()); n != 1 || m != 1 {
					t.Errorf("%d and %d attempts", n, m)
				}
				a.notify("debug")
				if n, m := len(a.vendor.sendings()), len(a.sandbox.sendings()); n != 1 || m != 2 {
					t.Errorf("the next time: %d and %d attempts", n, m)
				}
				a.phone("release", "p1", "")
				if c := a.notify("release"); c.Delivered != 1 || len(a.sandbox.sendings()) != 2 {
					t.Errorf("another phone: %+v", c)
				}
			})
		})
	}
}

// What is planned for one environment goes to the other if the token has moved.
func TestADeliveryFollowsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startApple(t)
		a.phone("debug", "s1", diaphone.Production)
		m := a.send(toChannel("news"), 3600, diaphone.Always)
		a.phone("debug", "s1", diaphone.Sandbox)
		defer a.run()()
		a.until(time.Minute, a.finished(m))
		if c := a.counts(m); c.Delivered != 1 || len(a.vendor.sendings()) != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// A token that nobody knows is tried elsewhere once for each registration.
func TestATokenOfNoEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startApple(t)
		defer a.run()()
		a.phone("lost", "x1", "")
		for round, elsewhere := range []int{1, 1, 2} {
			if round == 2 {
				a.phone("lost", "x1", "")
			}
			time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time
			if c := a.notify("lost"); c.Failed != 1 {
				t.Errorf("%+v", c)
			}
			if n, m := len(a.vendor.sendings()), len(a.sandbox.sendings()); n != round+1 || m != elsewhere {
				t.Errorf("round %d: %d and %d attempts", round, n, m)
			}
		}
		if got := a.environment("lost"); got != "" {
			t.Errorf("recorded as %q", got)
		}
	})
}

// When most tokens are refused at once the set-up is wrong: Apple's other half is
// not flooded, and no token is moved or removed but the few of the beginning.
func TestAMassEventTriesNothingElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startApple(t)
		for i := range 100 {
			a.phone(fmt.Sprint("phone-", i), diaphone.Secret(fmt.Sprint("s", i)), "")
		}
		defer a.run()()
		m := a.send(toChannel("news"), 36000, diaphone.Always)
		a.until(time.Minute, func() bool { return a.counts(m).Failed > 0 })
		time.Sleep(30 * time.Minute) //nolint:forbidigo // virtual time
		if n := len(a.sandbox.sendings()); n > 20 {
			t.Errorf("%d attempts elsewhere", n)
		}
		times := a.sandbox.sendings()
		slices.SortFunc(times, func(a, b sending) int { return a.at.Compare(b.at) })
		for i := 1; i < len(times); i++ {
			if gap := times[i].at.Sub(times[i-1].at); gap < time.Second {
				t.Errorf("%s between two attempts elsewhere", gap)
			}
		}
		a.allKeepTheirTokens(100)
		if c := a.counts(m); c.Pending < 60 {
			t.Errorf("%+v", c)
		}
	})
}

// Without a credential for the other environment nothing changes.
func TestOneEnvironmentAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startApple(t)
		a.app.Credentials = a.app.Credentials[:1]
		defer a.run()()
		a.phone("debug", "s1", "")
		if c := a.notify("debug"); c.Failed != 1 || len(a.sandbox.sendings()) != 0 {
			t.Errorf("%+v", c)
		}
	})
}
