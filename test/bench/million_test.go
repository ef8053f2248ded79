package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/app"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// manyDevices is for a quick look: -devices=100000.
var manyDevices = flag.Int("devices", 1_000_000, "devices of the large store")

const (
	everyone = diaphone.ChannelName("everyone")
	tenant   = diaphone.AppID("1") // of the simulators' apps file
)

// million measures a store of a million devices: what they take, what registering
// another costs, and a broadcast to all of them. It takes several minutes and is
// done once.
func million(b *testing.B) []series {
	w := harness.NewSims(b)
	path := app.StorePath(w.DataDir())
	apns := fill(b, path, func(register func([]diaphone.Device)) {
		w.NewPhones(*manyDevices, diaphone.IOS, "phone", func(some []harness.Phone) {
			devices := make([]diaphone.Device, len(some))
			for i, p := range some {
				devices[i] = usual(p.Name, diaphone.IOS, diaphone.Token{Kind: diaphone.TokenAPNs, Value: diaphone.Secret(p.Token)})
			}
			register(devices)
		})
	})
	fcm := fill(b, filepath.Join(b.TempDir(), "fcm.db"), func(register func([]diaphone.Device)) {
		for i := range max(*manyDevices/10_000, 1) {
			register(android(i*1000, 1000))
		}
	})
	batches := planned(b, path)
	w.StartGateway()
	away(w, "apns", 20)
	registrations, cpu := registrations(b, w)
	w.Await(w.Send("team-1", "warm up"), time.Minute)
	alone := lonely(b, w, 200, nil)
	beside := broadcastToAll(b, w)
	one := func(values ...float64) []float64 { return values }
	return slices.Concat([]series{
		{"stored for a device with an APNs token", "B/APNs-device", "<= 300", one(apns)},
		{"stored for a device with an FCM token", "B/FCM-device", "<= 300", one(fcm)},
		{"registrations", "registrations/s", ">= 4,000", registrations},
		{"gateway CPU of a registration", "µs/registration", "", cpu},
		{"stored batches of a broadcast to all", "batches", "<= 2,500", one(batches)},
		{"p99 of a message to one, accepted to delivered", "ms-p99-alone", "", one(percentile(alone, 99))},
	}, beside)
}

// usual is what an app has: a token, a user, three channels (all, a city, a team of ten).
func usual(name string, p diaphone.Platform, t diaphone.Token) diaphone.Device {
	var i int
	_, _ = fmt.Sscanf(name, "phone-%d", &i)
	return diaphone.Device{
		App: tenant, ID: diaphone.DeviceID(name), Platform: p, User: diaphone.UserID(fmt.Sprintf("user-%d", i)),
		Channels: []diaphone.ChannelName{everyone, diaphone.ChannelName(fmt.Sprintf("city-%d", i%500)), diaphone.ChannelName(fmt.Sprintf("team-%d", i/10))},
		Tokens:   []diaphone.Token{t},
	}
}

// android gives n devices whose tokens look like Google's.
func android(from, n int) []diaphone.Device {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	devices := make([]diaphone.Device, n)
	for i := range devices {
		token := make([]byte, 22+134-len("APA91b"))
		for j := range token {
			token[j] = letters[rand.IntN(len(letters))]
		}
		value := string(token[:22]) + ":APA91b" + string(token[22:])
		devices[i] = usual(fmt.Sprintf("phone-%d", from+i), diaphone.Android, diaphone.Token{Kind: diaphone.TokenFCM, Value: diaphone.Secret(value)})
	}
	return devices
}

// fill registers devices with a store of its own and gives the bytes that each takes.
func fill(b *testing.B, path string, give func(register func([]diaphone.Device))) (bytes float64) {
	b.Helper()
	s := open(b, path)
	devices := 0
	give(func(some []diaphone.Device) {
		devices += len(some)
		var all sync.WaitGroup
		for i := range some {
			all.Go(func() {
				if _, _, err := storagetest.Put(context.Background(), s, some[i], time.Now()); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	})
	st := s.Stats()
	shut(b, s)
	return float64(st.FileBytes-st.FreeBytes) / float64(devices)
}

func open(b *testing.B, path string) *bolt.Store {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func shut(b *testing.B, s *bolt.Store) {
	b.Helper()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if b.Failed() {
		b.FailNow()
	}
}

// planned counts the batches of a broadcast to everyone, in a copy of the store.
func planned(b *testing.B, path string) (batches float64) {
	b.Helper()
	copied := filepath.Join(b.TempDir(), "copy.db")
	if err := duplicate(path, copied); err != nil {
		b.Fatal(err)
	}
	s := open(b, copied)
	ctx, now := context.Background(), time.Now()
	lane := diaphone.Lane{App: tenant, Credential: "apns"}
	route := func(*diaphone.Message, *diaphone.Device) (diaphone.Lane, diaphone.TokenKind, string) {
		return lane, diaphone.TokenAPNs, ""
	}
	m := &diaphone.Message{
		ID: diaphone.NewMessageID(now), App: tenant, To: diaphone.Audience{Channels: []diaphone.ChannelName{everyone}}, When: diaphone.Always,
		AcceptedAt: now, Expires: now.Add(time.Hour), Notification: &diaphone.Notification{Body: "hello"},
	}
	if _, err := s.Accept(ctx, m, storage.Idempotency{}, route); err != nil {
		b.Fatal(err)
	}
	for done := false; !done; {
		var err error
		if done, _, err = s.Plan(ctx, tenant, m.ID, route); err != nil {
			b.Fatal(err)
		}
	}
	all, _, err := s.Claim(ctx, storage.Claim{Lane: lane, Now: now.Add(time.Second), N: 2 * *manyDevices, Lease: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	deliveries := 0
	for i := range all {
		deliveries += len(all[i].Items)
	}
	if deliveries != *manyDevices {
		b.Fatalf("%d deliveries planned", deliveries)
	}
	shut(b, s)
	return float64(len(all))
}

func duplicate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// registrations has a crowd register devices that are new.
func registrations(b *testing.B, w *harness.World) (rates, cpus []float64) {
	const devices = 300 * crowd
	for round := range rounds {
		used := w.Gateway.CPU()
		_, took := load(b, w, devices, func(i int) (method, path, body string) {
			n := *manyDevices + round*devices + i
			return http.MethodPut, fmt.Sprintf("/v1/devices/phone-%d", n), fmt.Sprintf(
				`{"platform":"ios","tokens":[{"kind":"apns","value":"%016x%016x%016x%016x"}],"user_id":"user-%d","channels":["others","city-%d","team-%d"]}`,
				rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), n, n%500, n/10)
		})
		rates = append(rates, devices/took.Seconds())
		cpus = append(cpus, each(w.Gateway.CPU()-used, devices))
	}
	return rates, cpus
}

// lonely sends messages to one device each, one after the other, and gives how long
// each took from being accepted to being delivered, sorted. They end after n, or with
// over.
func lonely(b *testing.B, w *harness.World, n int, over <-chan struct{}) []time.Duration {
	b.Helper()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	c, err := dial(w)
	if err != nil {
		b.Fatal(err)
	}
	defer c.conn.Close()
	var ids []diaphone.MessageID
	for sending := true; sending && len(ids) < n; {
		answer, err := c.call(publication(fmt.Sprintf("phone-%d", rand.IntN(*manyDevices))))
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, idIn(b, answer))
		select {
		case <-every.C:
		case <-over:
			sending = false
		}
	}
	took := make([]time.Duration, len(ids))
	for i, id := range ids {
		m := w.Await(id, time.Minute)
		took[i] = m.FinishedAt.Sub(m.AcceptedAt.Time)
	}
	slices.Sort(took)
	return took
}

// idIn reads the message's id out of the answer to a publication.
func idIn(b *testing.B, answer []byte) diaphone.MessageID {
	b.Helper()
	var p wire.Published
	if err := json.Unmarshal(answer, &p); err != nil {
		b.Fatal(err)
	}
	return p.ID
}

// broadcastToAll sends one message to everyone, and meanwhile others to one each.
func broadcastToAll(b *testing.B, w *harness.World) []series {
	b.Helper()
	used, before := w.Gateway.CPU(), w.Gateway.Memory()
	id := w.Send(everyone, "hello")
	over := make(chan struct{})
	var peak int64
	var m wire.Message
	var watching sync.WaitGroup
	watching.Go(func() {
		defer close(over)
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		for m.FinishedAt.IsZero() && !b.Failed() {
			peak = max(peak, w.Gateway.Memory())
			var err error
			if m, err = w.Client.Message(context.Background(), id); err != nil {
				b.Error(err)
			}
			<-look.C
		}
	})
	beside := lonely(b, w, *manyDevices, over)
	watching.Wait()
	if b.Failed() || m.Counts.Delivered != int64(*manyDevices) {
		b.Fatalf("counts %+v, want %d delivered", m.Counts, *manyDevices)
	}
	one := func(value float64) []float64 { return []float64{value} }
	return []series{
		{"p99 of a message to one beside the broadcast", "ms-p99-beside", "<= 2 x alone", one(percentile(beside, 99))},
		{"memory that the broadcast adds at most", "MB", "<= 50", one(float64(peak-before) / 1e6)},
		{"broadcast, APNs 20 ms away", "notifications/s", "", one(float64(*manyDevices) / m.FinishedAt.Sub(m.AcceptedAt.Time).Seconds())},
		{"gateway CPU of the broadcast", "µs/notification", "", one(each(w.Gateway.CPU()-used, *manyDevices))},
	}
}
