// Package bench measures whole gateways: built binaries, simulators in a
// process of their own, figures out of the API and the process's own CPU time.
// `make bench` prints them; none of them is a test.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// rounds of each measurement; the median is reported.
const rounds = 3

// BenchmarkBroadcast sends one message to 10,000 devices of one provider.
func BenchmarkBroadcast(b *testing.B) {
	for _, c := range []struct {
		provider string
		platform diaphone.Platform
		latency  time.Duration
	}{
		{"apns", diaphone.IOS, 0},
		{"apns", diaphone.IOS, 50 * time.Millisecond},
		{"fcm", diaphone.Android, 0},
		{"fcm", diaphone.Android, 50 * time.Millisecond},
	} {
		b.Run(fmt.Sprintf("%s/%s-away", c.provider, c.latency), func(b *testing.B) {
			const devices = 10_000
			w := harness.NewWorld(b, nil)
			w.AddPhones(devices, c.platform, "phone", "news")
			if c.latency > 0 {
				w.SimCall(http.MethodPut, "/sim/faults", map[string]any{"provider": c.provider, "latency_ms": c.latency.Milliseconds()}, nil)
			}
			w.Await(w.Send("news", "warm up"), 2*time.Minute)
			var rate, cpu []float64
			for range rounds * b.N {
				used, begun := w.Gateway.CPU(), time.Now()
				m := w.Await(w.Send("news", "hello"), 2*time.Minute)
				if m.Counts.Delivered != devices {
					b.Fatalf("counts %+v, want %d delivered", m.Counts, devices)
				}
				took := m.FinishedAt.Sub(m.AcceptedAt.Time)
				if took <= 0 {
					took = time.Since(begun)
				}
				rate = append(rate, devices/took.Seconds())
				cpu = append(cpu, float64((w.Gateway.CPU()-used).Microseconds())/devices)
			}
			b.ReportMetric(median(rate), "notifications/s")
			b.ReportMetric(median(cpu), "µs-CPU/notification")
		})
	}
}

// BenchmarkAccept publishes durable notifications from 64 clients, one device
// each: alone, with a lane that hardly sends, and while all of it is sent, too.
func BenchmarkAccept(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchmarkAccept(b, harness.Limited("fcm", "rate: 1")) })
	b.Run("while-sending", func(b *testing.B) { benchmarkAccept(b, nil) })
}

func benchmarkAccept(b *testing.B, edit func(string) string) {
	const clients, each = 64, 300
	w := harness.NewWorld(b, edit)
	w.AddPhones(clients, diaphone.Android, "phone", "news")
	var rate, p50, p99, cpu []float64
	for range rounds * b.N {
		used := w.Gateway.CPU()
		waits := make([][]time.Duration, clients)
		begun := time.Now()
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() { waits[i] = publish(b, w, i, each) })
		}
		all.Wait()
		took := time.Since(begun)
		every := slices.Sorted(slices.Values(slices.Concat(waits...)))
		rate = append(rate, float64(len(every))/took.Seconds())
		p50 = append(p50, milliseconds(every[len(every)/2]))
		p99 = append(p99, milliseconds(every[len(every)*99/100]))
		cpu = append(cpu, float64((w.Gateway.CPU()-used).Microseconds())/float64(len(every)))
	}
	b.ReportMetric(median(rate), "accepts/s")
	b.ReportMetric(median(p50), "ms-p50")
	b.ReportMetric(median(p99), "ms-p99")
	b.ReportMetric(median(cpu), "µs-CPU/message")
}

func publish(b *testing.B, w *harness.World, i, n int) []time.Duration {
	waits := make([]time.Duration, 0, n)
	m := wire.NewMessage{
		To:           wire.Audience{Devices: []diaphone.DeviceID{diaphone.DeviceID(fmt.Sprintf("phone-%d", i))}},
		Notification: &diaphone.Notification{Title: "A question", Body: "Are you there?"},
	}
	for range n {
		begun := time.Now()
		if _, err := w.Client.Publish(context.Background(), m, ""); err != nil {
			b.Error(err)
			return waits
		}
		waits = append(waits, time.Since(begun))
	}
	return waits
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
