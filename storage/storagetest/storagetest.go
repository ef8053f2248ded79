// Package storagetest is the conformance suite of storage.Store: what every
// engine must do, said once. It knows the contract and no engine.
package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Open gives an empty store, and a function that closes it and opens the same
// data again. The engine's test closes what is open at the end.
type Open func(t *testing.T) (s storage.Store, reopen func() storage.Store)

// Run runs the suite against an engine.
func Run(t *testing.T, open Open) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"devices", deviceTests()},
		{"accept", acceptTests()},
		{"plan", planTests()},
		{"schedule", scheduleTests()},
		{"clock", clockTests()},
		{"cancel", cancelTests()},
		{"queue", queueTests()},
		{"settle", settleTests()},
		{"history", historyTests()},
		{"receipts", receiptTests()},
		{"notices", noticeTests()},
		{"store", storeTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, one := range group.tests {
				t.Run(one.name, func(t *testing.T) {
					s, reopen := open(t)
					one.run(&env{judge: t, s: s, reopen: reopen, ctx: t.Context()})
				})
			}
		})
	}
	t.Run("model", func(t *testing.T) { Model(t, open) })
	t.Run("model of notices", func(t *testing.T) { modelOfNotices(t, open) })
}

type test struct {
	name string
	run  func(*env)
}

// env is one test's store and its vocabulary. Times are given, never taken: no
// test waits for a clock.
type env struct {
	judge
	ctx    context.Context
	s      storage.Store
	reopen func() storage.Store
	ids    int
}

// judge is what testing.T and rapid.T share.
type judge interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

const (
	app   = diaphone.AppID("1")
	other = diaphone.AppID("2")
)

// at is a time n seconds into every test.
func at(seconds float64) time.Time {
	return time.UnixMilli(1_790_000_000_000).Add(time.Duration(seconds * float64(time.Second))).UTC()
}

func (e *env) no(err error, doing string, args ...any) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", fmt.Sprintf(doing, args...), err)
	}
}

func (e *env) code(err error, want diaphone.Code, doing string) {
	e.Helper()
	if err == nil {
		e.Fatalf("%s: no error, want %s", doing, want)
	}
	if got := diaphone.CodeOf(err); got != want {
		e.Fatalf("%s: %s (%v), want %s", doing, got, err, want)
	}
}

func equal[T comparable](e *env, got, want T, what string, args ...any) {
	e.Helper()
	if got != want {
		e.Fatalf("%s: got %v, want %v", fmt.Sprintf(what, args...), got, want)
	}
}

// The two lanes of the test apps.

func apnsLane(a diaphone.AppID) diaphone.Lane { return diaphone.Lane{App: a, Credential: "apns"} }
func fcmLane(a diaphone.AppID) diaphone.Lane  { return diaphone.Lane{App: a, Credential: "fcm"} }

// route is a Route as the product has it: the first token that is active decides.
func route(_ *diaphone.Message, d *diaphone.Device) (diaphone.Lane, diaphone.TokenKind, string) {
	for i := range d.Tokens {
		switch t := &d.Tokens[i]; {
		case !t.Active():
		case t.Kind == diaphone.TokenAPNs:
			return apnsLane(d.App), diaphone.TokenAPNs, ""
		default:
			return fcmLane(d.App), diaphone.TokenFCM, ""
		}
	}
	return diaphone.Lane{}, "", "no_token"
}

// phone is a device with one token of its own and what options add.
func phone(id string, options ...func(*diaphone.Device)) diaphone.Device {
	d := diaphone.Device{
		App: app, ID: diaphone.DeviceID(id), Platform: diaphone.Android,
		Tokens: []diaphone.Token{fcmToken("token-of-" + id)},
	}
	for _, o := range options {
		o(&d)
	}
	return d
}

func fcmToken(value string) diaphone.Token {
	return diaphone.Token{Kind: diaphone.TokenFCM, Value: diaphone.Secret(value)}
}

func ofUser(u diaphone.UserID) func(*diaphone.Device) {
	return func(d *diaphone.Device) { d.User = u }
}

func on(channels ...diaphone.ChannelName) func(*diaphone.Device) {
	return func(d *diaphone.Device) { d.Channels = channels }
}

func in(a diaphone.AppID) func(*diaphone.Device) {
	return func(d *diaphone.Device) { d.App = a }
}

func withTokens(tokens ...diaphone.Token) func(*diaphone.Device) {
	return func(d *diaphone.Device) { d.Tokens = tokens }
}

func (e *env) put(d diaphone.Device) diaphone.Device {
	e.Helper()
	stored, _, err := Put(e.ctx, e.s, d, at(0))
	e.no(err, "put device %s", d.ID)
	return stored
}

func (e *env) device(a diaphone.AppID, id diaphone.DeviceID) diaphone.Device {
	e.Helper()
	d, err := e.s.Device(e.ctx, a, id)
	e.no(err, "read device %s", id)
	return d
}

// message is a notification to an audience, accepted at the given second.
func (e *env) message(second float64, to diaphone.Audience) *diaphone.Message {
	e.ids++
	ttl := 3600
	n := diaphone.Notification{Title: "hello", Body: fmt.Sprintf("number %d", e.ids), Data: map[string]string{"k": "v"}, TTL: &ttl}
	return &diaphone.Message{
		ID: diaphone.NewMessageID(at(second)), App: app, To: to, Notification: &n, When: diaphone.Always,
		AcceptedAt: at(second), Expires: at(second + 3600),
	}
}

func toChannels(c ...diaphone.ChannelName) diaphone.Audience {
	return diaphone.Audience{Channels: c}
}
func toUsers(u ...diaphone.UserID) diaphone.Audience { return diaphone.Audience{Users: u} }
func toDevices(d ...diaphone.DeviceID) diaphone.Audience {
	return diaphone.Audience{Devices: d}
}

func (e *env) accept(m *diaphone.Message) storage.Accepted {
	e.Helper()
	a, err := e.s.Accept(e.ctx, m, storage.Idempotency{}, route)
	e.no(err, "accept")
	equal(e, a.ID, m.ID, "id of the accepted message")
	return a
}

// planAll plans to the end and tells in how many steps.
func (e *env) planAll(m *diaphone.Message) (steps int) {
	e.Helper()
	for steps = 1; ; steps++ {
		done, _, err := e.s.Plan(e.ctx, m.App, m.ID, route)
		e.no(err, "plan")
		if done {
			return steps
		}
	}
}

func (e *env) claim(l diaphone.Lane, second float64, n int) []storage.Batch {
	e.Helper()
	batches, _ := e.claimNext(l, second, n)
	return batches
}

const lease = 30 * time.Second

func (e *env) claimNext(l diaphone.Lane, second float64, n int) ([]storage.Batch, time.Time) {
	e.Helper()
	batches, next, err := e.s.Claim(e.ctx, storage.Claim{Lane: l, Now: at(second), N: n, Lease: lease})
	e.no(err, "claim")
	return batches, next
}

func (e *env) settle(second float64, s ...storage.Settlement) storage.Settled {
	e.Helper()
	settled, err := e.s.Settle(e.ctx, s, at(second))
	e.no(err, "settle")
	return settled
}

// all gives every delivery of a batch the same end.
func all(b *storage.Batch, state diaphone.State) storage.Settlement {
	s := storage.Settlement{Batch: b}
	for _, it := range b.Items {
		s.Results = append(s.Results, storage.Result{Index: it.Index, State: state})
	}
	return s
}

func (e *env) report(m *diaphone.Message) storage.MessageReport {
	e.Helper()
	r, err := e.s.Message(e.ctx, m.App, m.ID)
	e.no(err, "read message")
	c := r.Counts
	if sum := c.Pending + c.Delivered + c.Failed + c.Expired + c.Suppressed + c.Cancelled; sum != c.Accepted {
		e.Fatalf("counts %+v: the states sum to %d, not to accepted", c, sum)
	}
	return r
}

// deliveries reads all pages.
func (e *env) deliveries(m *diaphone.Message, limit int) []storage.DeliveryReport {
	e.Helper()
	var all []storage.DeliveryReport
	for cursor := ""; ; {
		page, next, err := e.s.Deliveries(e.ctx, m.App, m.ID, storage.Page{Cursor: cursor, Limit: limit})
		e.no(err, "read deliveries")
		if len(page) > limit {
			e.Fatalf("a page of %d has %d deliveries", limit, len(page))
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

func deliveryIDs(reports []storage.DeliveryReport) []diaphone.DeviceID {
	ids := make([]diaphone.DeviceID, len(reports))
	for i, r := range reports {
		ids[i] = r.Device
	}
	return ids
}
