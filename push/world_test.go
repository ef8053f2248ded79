package push_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/push"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

// vendor is a provider whose answers the test decides. Time in these tests is
// virtual, so that hours of retries take milliseconds; real sockets would stop
// it, which is why the simulators are not used here.
type vendor struct {
	answer func(d *diaphone.Delivery, nth int) diaphone.Outcome

	mu   sync.Mutex
	sent []sending
	nth  map[diaphone.DeviceID]int
}

type sending struct {
	device diaphone.DeviceID
	at     time.Time
	id     string
}

func (v *vendor) Send(ctx context.Context, d *diaphone.Delivery) diaphone.Outcome {
	v.mu.Lock()
	if v.nth == nil {
		v.nth = map[diaphone.DeviceID]int{}
	}
	v.nth[d.Device]++
	n := v.nth[d.Device]
	v.sent = append(v.sent, sending{d.Device, time.Now(), d.ID})
	v.mu.Unlock()
	select {
	case <-time.After(20 * time.Millisecond): // the way to the provider and back
	case <-ctx.Done():
		return diaphone.Outcome{Verdict: diaphone.Retry, Err: ctx.Err()}
	}
	return v.answer(d, n)
}

func (v *vendor) Render(*diaphone.Message) (providers.Rendered, error) {
	return providers.Rendered{Payload: []byte("{}"), Limit: 4096}, nil
}

func (v *vendor) Probe(context.Context) providers.Finding { return providers.Finding{} }

func (v *vendor) Close() error { return nil }

func (v *vendor) sendings() []sending {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.sent)
}

func accept(*diaphone.Delivery, int) diaphone.Outcome {
	return diaphone.Outcome{Verdict: diaphone.Accepted, Status: 200, ProviderID: "ok"}
}

// world is an engine over a real store.
type world struct {
	t       *testing.T
	path    string
	app     *diaphone.App
	store   *bolt.Store
	vendor  *vendor
	engine  *push.Engine
	outbox  storage.Outbox                                               // between engine and store; nil: the store
	sender  providers.Provider                                           // nil: the vendor
	others  map[string]providers.Provider                                // of single credentials, instead
	live    live                                                         // who hears of scheduled messages
	taken   func(diaphone.UserID) (how diaphone.Taking, until time.Time) // nil: nobody takes anything live
	refused func(diaphone.Lane, *diaphone.Outcome)                       // nil: nobody is told
}

const credential = "fcm"

func start(t *testing.T, c diaphone.Credential, answer func(*diaphone.Delivery, int) diaphone.Outcome) *world {
	c.Name = credential
	if c.Provider == "" {
		c.Provider = diaphone.FCM
	}
	w := &world{t: t, path: filepath.Join(t.TempDir(), "store.db"), vendor: &vendor{answer: answer},
		app: &diaphone.App{ID: "1", Credentials: []diaphone.Credential{c}}}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	store, err := bolt.Open(w.path, bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
}

// run starts the engine; the returned function stops it and closes the store.
func (w *world) run() (stop func()) {
	c := push.Config{
		Apps: []*diaphone.App{w.app}, Devices: w.store, Outbox: w.store,
		Providers: make(map[diaphone.Lane]providers.Provider),
		Taken: func(_ diaphone.AppID, _ diaphone.MessageID, u diaphone.UserID) (diaphone.Taking, time.Time) {
			if w.taken == nil {
				return "", time.Time{}
			}
			return w.taken(u)
		},
		Announce: w.announce, Refused: w.refused,
		Logger: slog.New(slog.DiscardHandler), Metrics: push.NewMetrics(prometheus.NewRegistry()),
	}
	if w.outbox != nil {
		c.Outbox = w.outbox
	}
	for _, cred := range w.app.Credentials {
		c.Providers[diaphone.Lane{App: "1", Credential: cred.Name}] = w.vendor
		if w.sender != nil {
			c.Providers[diaphone.Lane{App: "1", Credential: cred.Name}] = w.sender
		}
		if other := w.others[cred.Name]; other != nil {
			c.Providers[diaphone.Lane{App: "1", Credential: cred.Name}] = other
		}
	}
	var err error
	if w.engine, err = push.New(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		if err := errors.Join(<-ended, w.store.Close()); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) devices(n int, channel diaphone.ChannelName) {
	w.t.Helper()
	for i := range n {
		w.put(diaphone.Device{App: "1", ID: diaphone.DeviceID(fmt.Sprintf("phone-%d", i)), Platform: diaphone.Android,
			Channels: []diaphone.ChannelName{channel}, User: "ana",
			Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: diaphone.Secret(fmt.Sprintf("token-%d", i))}}})
	}
}

func (w *world) put(d diaphone.Device) {
	w.t.Helper()
	if _, _, err := storagetest.Put(context.Background(), w.store, d, time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) send(to diaphone.Audience, ttl int, when diaphone.When) diaphone.MessageID {
	w.t.Helper()
	now := time.Now()
	m := &diaphone.Message{ID: diaphone.NewMessageID(now), App: "1", To: to, When: when, AcceptedAt: now,
		Notification: &diaphone.Notification{Body: "hello", TTL: &ttl}}
	m.Expires = m.Notification.Deadline(now)
	a, err := w.store.Accept(context.Background(), m, storage.Idempotency{}, w.app.Route)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.engine != nil {
		w.engine.Wake(a.Lanes, !a.Planned)
	}
	return a.ID
}

func toChannel(c diaphone.ChannelName) diaphone.Audience {
	return diaphone.Audience{Channels: []diaphone.ChannelName{c}}
}

func (w *world) counts(id diaphone.MessageID) diaphone.Counts {
	w.t.Helper()
	m, err := w.store.Message(context.Background(), "1", id)
	if err != nil {
		w.t.Fatal(err)
	}
	c := m.Counts
	if c.Accepted != c.Pending+c.Delivered+c.Failed+c.Expired+c.Suppressed+c.Cancelled {
		w.t.Fatalf("the counts do not add up: %+v", c)
	}
	return c
}

func (w *world) report(id diaphone.MessageID) []storage.DeliveryReport {
	w.t.Helper()
	reports, _, err := w.store.Deliveries(context.Background(), "1", id, storage.Page{Limit: storage.MaxPage})
	if err != nil {
		w.t.Fatal(err)
	}
	return reports
}

// until lets virtual time pass until the condition holds.
func (w *world) until(most time.Duration, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // virtual time
		if time.Now().After(end) {
			w.t.Fatalf("not within %s", most)
		}
	}
}

func (w *world) finished(id diaphone.MessageID) func() bool {
	return func() bool { return w.counts(id).Pending == 0 && w.counts(id).Accepted > 0 }
}
