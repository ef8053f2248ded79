package bolt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

// Run with: go test -run - -bench . -benchtime 3s ./storage/bolt

const benchApp = diaphone.AppID("1")

func benchRoute(_ *diaphone.Message, d *diaphone.Device) (diaphone.Lane, diaphone.TokenKind, string) {
	return diaphone.Lane{App: d.App, Credential: "apns"}, d.Tokens[0].Kind, ""
}

// benchDevice is what an app has: a token, a user, three channels (all, a city, a
// team of ten).
func benchDevice(i int) diaphone.Device {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	return diaphone.Device{
		App: benchApp, ID: diaphone.DeviceID(fmt.Sprintf("device-%09d", i)), Platform: diaphone.IOS,
		User:     diaphone.UserID(fmt.Sprintf("user-%07d", r.IntN(1<<30)%10_000_000)),
		Channels: []diaphone.ChannelName{"news", diaphone.ChannelName(fmt.Sprintf("city-%03d", r.IntN(500))), diaphone.ChannelName(fmt.Sprintf("team-%05d", i/10))},
		Tokens: []diaphone.Token{{
			Kind: diaphone.TokenAPNs, Environment: diaphone.Production,
			Value: diaphone.Secret(fmt.Sprintf("%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())),
		}},
	}
}

func benchMessage(now time.Time, to diaphone.Audience) *diaphone.Message {
	return &diaphone.Message{
		ID: diaphone.NewMessageID(now), App: benchApp, To: to, When: diaphone.Always, AcceptedAt: now, Expires: now.Add(time.Hour),
		Notification: &diaphone.Notification{Title: "Ana", Body: "See you at eight?", Data: map[string]string{"chat": "7"}, CollapseID: "chat-7"},
	}
}

// load registers devices from to to, in a shuffled order, many at a time.
func load(b *testing.B, s *Store, from, to int) {
	b.Helper()
	order := rand.New(rand.NewPCG(1, 2)).Perm(to - from)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 512 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(order); i = int(next.Add(1)) - 1 {
				if _, _, err := storagetest.Put(context.Background(), s, benchDevice(from+order[i]), time.Now()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s := openStore(b, filepath.Join(b.TempDir(), "diaphone.db"), Options{})
	b.Cleanup(func() { closeStore(b, s) })
	return s
}

// writers runs b.N calls on that many goroutines and reports calls/s and p99.
func writers(b *testing.B, n int, call func(i int) error) {
	b.Helper()
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var all sync.WaitGroup
	b.ResetTimer()
	for range n {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				start := time.Now()
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkAccept: durable publishes to one device each.
func BenchmarkAccept(b *testing.B) {
	for _, n := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			s := benchStore(b)
			load(b, s, 0, 1000)
			writers(b, n, func(i int) error {
				m := benchMessage(time.Now(), diaphone.Audience{Devices: []diaphone.DeviceID{benchDevice(i % 1000).ID}})
				_, err := s.Accept(context.Background(), m, storage.Idempotency{}, benchRoute)
				return err
			})
		})
	}
}

// BenchmarkRegister: new devices, then the same again, as apps do at every start.
func BenchmarkRegister(b *testing.B) {
	for _, n := range []int{1, 64, 512} {
		for _, again := range []bool{false, true} {
			b.Run(fmt.Sprintf("writers=%d/again=%v", n, again), func(b *testing.B) {
				s := benchStore(b)
				load(b, s, 0, 1000)
				writers(b, n, func(i int) error {
					if again {
						i %= 1000
					}
					_, _, err := storagetest.Put(context.Background(), s, benchDevice(i), time.Now())
					return err
				})
			})
		}
	}
}

// BenchmarkBytesPerDevice loads 100,000 devices and measures the file.
func BenchmarkBytesPerDevice(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		s := benchStore(b)
		load(b, s, 0, n)
		file, free := s.sizes()
		b.ReportMetric(float64(file-free)/n, "B/device")
		b.ReportMetric(float64(file)/n, "file-B/device")
	}
}

// BenchmarkQueue: single-delivery batches through claim and settle, with 256
// others leased in front; one claimer as in a lane.
func BenchmarkQueue(b *testing.B) {
	for _, group := range []int{1, 64} {
		b.Run(fmt.Sprintf("claimed=%d", group), func(b *testing.B) { benchQueue(b, group) })
	}
}

func benchQueue(b *testing.B, group int) {
	const leased = 256
	s := benchStore(b)
	load(b, s, 0, 1000)
	ctx, start := context.Background(), time.Now()
	var all sync.WaitGroup
	for w := range 64 {
		all.Go(func() {
			for i := w; i < b.N+leased; i += 64 {
				m := benchMessage(start, diaphone.Audience{Devices: []diaphone.DeviceID{benchDevice(i % 1000).ID}})
				if _, err := s.Accept(ctx, m, storage.Idempotency{}, benchRoute); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	claim := storage.Claim{Lane: diaphone.Lane{App: benchApp, Credential: "apns"}, Now: start.Add(time.Second), N: leased, Lease: time.Hour}
	if _, _, err := s.Claim(ctx, claim); err != nil {
		b.Fatal(err)
	}
	claim.N = group
	var claiming time.Duration
	b.ResetTimer()
	for done := 0; done < b.N; {
		begin := time.Now()
		batches, _, err := s.Claim(ctx, claim)
		claiming += time.Since(begin)
		if err != nil || len(batches) == 0 {
			b.Fatalf("claim: %d, %v", len(batches), err)
		}
		if _, err := s.Settle(ctx, benchSettle(batches), time.Now()); err != nil {
			b.Fatal(err)
		}
		done += len(batches)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(claiming.Microseconds())/float64(b.N), "claim-µs/delivery")
}

// BenchmarkBroadcast: one message to a channel of 100,000, planned page by page,
// claimed and settled in batches as they are; then what became of single devices.
func BenchmarkBroadcast(b *testing.B) {
	const n = 100_000
	s := benchStore(b)
	load(b, s, 0, n)
	ctx, claim := context.Background(), storage.Claim{Lane: diaphone.Lane{App: benchApp, Credential: "apns"}, N: storage.MaxBatch, Lease: time.Minute}
	var planning, settling, asking time.Duration
	const asked = 1000
	batches := 0
	file, free := s.sizes()
	before := file - free
	for b.Loop() {
		start := time.Now()
		m := benchMessage(start, diaphone.Audience{Channels: []diaphone.ChannelName{"news"}})
		if _, err := s.Accept(ctx, m, storage.Idempotency{}, benchRoute); err != nil {
			b.Fatal(err)
		}
		for done := false; !done; {
			var err error
			if done, _, err = s.Plan(ctx, m.App, m.ID, benchRoute); err != nil {
				b.Fatal(err)
			}
		}
		planning += time.Since(start)
		start = time.Now()
		for {
			claim.Now = time.Now()
			got, _, err := s.Claim(ctx, claim)
			if err != nil {
				b.Fatal(err)
			}
			if len(got) == 0 {
				break
			}
			batches += len(got)
			if _, err := s.Settle(ctx, benchSettle(got), time.Now()); err != nil {
				b.Fatal(err)
			}
		}
		settling += time.Since(start)
		start = time.Now()
		for i := range asked {
			if r, err := s.Delivery(ctx, m.App, m.ID, benchDevice(i*7919%n).ID); err != nil || r.State != diaphone.Delivered {
				b.Fatal(r, err)
			}
		}
		asking += time.Since(start)
	}
	file, free = s.sizes()
	b.ReportMetric(float64(b.N*n)/planning.Seconds(), "planned/s")
	b.ReportMetric(float64(b.N*n)/settling.Seconds(), "settled/s")
	b.ReportMetric(float64(batches)/float64(b.N), "batches")
	b.ReportMetric(float64(asking.Microseconds())/float64(b.N*asked), "µs/look-up")
	b.ReportMetric(float64(file-free-before)/float64(b.N*n), "B/delivery")
}

func benchSettle(batches []storage.Batch) []storage.Settlement {
	work := make([]storage.Settlement, len(batches))
	for i := range batches {
		work[i].Batch = &batches[i]
		for _, it := range batches[i].Items {
			a := &diaphone.Attempt{At: time.Now(), Verdict: diaphone.Accepted, Status: 200, Latency: 50 * time.Millisecond,
				ProviderID: diaphone.DeliveryID(batches[i].Message.ID, it.Device)}
			work[i].Results = append(work[i].Results, storage.Result{Index: it.Index, State: diaphone.Delivered, Tries: 1, Attempt: a})
		}
	}
	return work
}

// BenchmarkRegisterAtMillion: 64 writers on a file that holds a million devices.
// Loading it takes minutes.
func BenchmarkRegisterAtMillion(b *testing.B) {
	const n = 1_000_000
	path := filepath.Join(b.TempDir(), "diaphone.db")
	s := openStore(b, path, Options{})
	load(b, s, 0, n)
	file, free := s.sizes()
	b.Logf("%d bytes a device", (file-free)/n)
	closeStore(b, s)
	start := time.Now()
	s = openStore(b, path, Options{})
	defer closeStore(b, s)
	b.Logf("opened %d MB in %v", file>>20, time.Since(start))
	for _, again := range []bool{false, true} {
		added := n
		b.Run(fmt.Sprintf("again=%v", again), func(b *testing.B) {
			base := added
			added += b.N
			writers(b, 64, func(i int) error {
				d := benchDevice(base + i)
				if again {
					d = benchDevice(i * 7919 % n)
				}
				_, _, err := storagetest.Put(context.Background(), s, d, time.Now())
				return err
			})
		})
	}
}

// BenchmarkNotices: 64 callers tell one webhook, each with a transaction's worth of
// one, while its queue is long; then it is read and ended, 20 at a time.
func BenchmarkNotices(b *testing.B) {
	s := benchStore(b)
	ctx := context.Background()
	tell := func(n int) storage.Append {
		a := storage.Append{}
		for range n {
			notice := diaphone.Notice{ID: "ntc_06f3k9q2v8c7h0a1b2c3d4e5f4", At: time.Now(), Kind: diaphone.MemberAdded, Channel: "presence-room-7341", User: "user-1234567"}
			a.Notices = append(a.Notices, storage.AddressedNotice{Notice: notice, Webhooks: []diaphone.WebhookID{testHook}})
		}
		return a
	}
	const long = 100_000
	file, free := s.sizes()
	before := file - free
	for range long / 1000 {
		mustAppend(b, s, tell(1000))
	}
	file, free = s.sizes()
	b.Run("append", func(b *testing.B) {
		writers(b, 64, func(int) error { return s.Append(ctx, tell(1)) })
		b.ReportMetric(float64(file-free-before)/long, "B/notice")
	})
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			front, err := s.Front(ctx, testHook, 20)
			if err != nil || len(front) < 20 {
				mustAppend(b, s, tell(1000))
				continue
			}
			if err := s.Done(ctx, testHook, front[19].Seq); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(20*float64(b.N)/b.Elapsed().Seconds(), "notices/s")
	})
	b.Run("front", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Front(ctx, testHook, 20); err != nil {
				b.Fatal(err)
			}
		}
	})
}
