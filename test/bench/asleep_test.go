package bench

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/client"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// BenchmarkAsleep prints the speed table of the asleep side. Gateway and simulators
// are processes of their own and share all cores with the load.
func BenchmarkAsleep(b *testing.B) {
	var t table
	for _, m := range []struct {
		name    string
		measure func(b *testing.B) []series
	}{
		{"one message to 10,000, APNs 50 ms away", broadcast(diaphone.IOS, 50, ">= 5,000", "<= 100")},
		{"one message to 10,000, APNs 20 ms away", broadcast(diaphone.IOS, 20, ">= 10,000", "<= 100")},
		{"10,000 messages to one each, APNs 50 ms away", distinct},
		{"APNs 20 ms away, GOAWAY every 500 pushes", goAway},
		{"one message to 10,000, FCM 20 ms away", broadcast(diaphone.Android, 20, ">= 5,000", "")},
		{"64 clients publish, to one device each", accept(harness.Limited("fcm", "rate: 1"), ">= 8,000", "<= 25")},
		{"the same, and all of it is sent", accept(nil, "", "")},
		{"Web Push, encrypt and sign on one core", encrypt},
		{fmt.Sprintf("a store of %d devices", *manyDevices), million},
	} {
		b.Run(m.name, func(b *testing.B) { t.add(b, m.name, m.measure(b)...) })
	}
	t.print()
}

// away puts a vendor so many milliseconds away.
func away(w *harness.World, provider string, latency int) {
	w.SimCall(http.MethodPut, "/sim/faults", map[string]any{"provider": provider, "latency_ms": latency}, nil)
}

// broadcast sends one message to many devices: each gets a notification of its own.
func broadcast(platform diaphone.Platform, latency int, rate, cpu string) func(b *testing.B) []series {
	return func(b *testing.B) []series {
		const devices = 10_000
		w := harness.NewWorld(b, nil)
		w.AddPhones(devices, platform, "phone", "news")
		away(w, map[diaphone.Platform]string{diaphone.IOS: "apns", diaphone.Android: "fcm"}[platform], latency)
		w.Await(w.Send("news", "warm up"), 2*time.Minute)
		var rates, cpus []float64
		for range rounds * b.N {
			used := w.Gateway.CPU()
			m := w.Await(w.Send("news", "hello"), 2*time.Minute)
			if m.Counts.Delivered != devices {
				b.Fatalf("counts %+v, want %d delivered", m.Counts, devices)
			}
			rates = append(rates, devices/m.FinishedAt.Sub(m.AcceptedAt.Time).Seconds())
			cpus = append(cpus, each(w.Gateway.CPU()-used, devices))
		}
		return []series{
			{"rate", "notifications/s", rate, rates},
			{"gateway CPU", "µs/notification", cpu, cpus},
		}
	}
}

// distinct lets many messages to one device each pile up behind a lane that hardly
// sends, and then starts the gateway without that limit. What it costs to accept them
// is another measurement.
func distinct(b *testing.B) []series {
	const messages, phones = 10_000, 1000
	const limit = "rate: 1"
	w := harness.NewSims(b)
	slow := harness.Limited("apns", limit)
	w.EditApps(slow)
	w.StartGateway()
	w.AddPhones(phones, diaphone.IOS, "phone", "news")
	away(w, "apns", 50)
	var rates, cpus []float64
	for range rounds * b.N {
		w.SimCall(http.MethodDelete, "/sim/stats", nil, nil)
		load(b, w, messages, func(i int) (method, path, body string) { return publication(fmt.Sprintf("phone-%d", i%phones)) })
		w.Gateway.Stop(time.Minute)
		w.EditApps(func(apps string) string { return strings.Replace(apps, limit, "concurrency: 500", 1) })
		before := accepted(w)
		w.StartGateway()
		begun := time.Now()
		harness.Until(b, time.Minute, "all messages are sent", func() bool { return accepted(w) >= messages })
		rates = append(rates, float64(messages-before)/time.Since(begun).Seconds())
		cpus = append(cpus, each(w.Gateway.CPU(), messages-before))
		w.Gateway.Stop(time.Minute)
		w.EditApps(func(apps string) string { return strings.Replace(apps, "concurrency: 500", limit, 1) })
		w.StartGateway()
	}
	return []series{
		{"rate", "messages/s", ">= 5,000", rates},
		{"gateway CPU, with its start", "µs/message", "", cpus},
	}
}

// accepted is how many pushes the simulated APNs has taken.
func accepted(w *harness.World) int {
	var stats map[string]struct{ Accepted int }
	w.SimCall(http.MethodGet, "/sim/stats", nil, &stats)
	return stats["apns"].Accepted
}

// goAway sends while APNs ends every connection after 500 pushes.
func goAway(b *testing.B) []series {
	const devices = 5000
	w := harness.NewWorld(b, nil)
	w.AddPhones(devices, diaphone.IOS, "phone", "news")
	away(w, "apns", 20)
	w.Await(w.Send("news", "warm up"), 2*time.Minute)
	w.SimCall(http.MethodPut, "/sim/faults", []map[string]any{
		{"provider": "apns", "latency_ms": 20}, {"provider": "apns", "goaway_every": 500}}, nil)
	var worst, p99, rate []float64
	for range rounds * b.N {
		m := w.Await(w.Send("news", "hello"), 2*time.Minute)
		rate = append(rate, devices/m.FinishedAt.Sub(m.AcceptedAt.Time).Seconds())
		latencies := latencies(b, w, m.ID)
		if len(latencies) != devices {
			b.Fatalf("%d attempts for %d devices", len(latencies), devices)
		}
		worst = append(worst, percentile(latencies, 100))
		p99 = append(p99, percentile(latencies, 99))
	}
	return []series{
		{"worst latency", "ms-worst", "<= 150", worst},
		{"p99 latency", "ms-p99", "", p99},
		{"rate", "notifications/s", "", rate},
	}
}

// latencies of a message's attempts, from the beginning of each to its answer, sorted.
func latencies(b *testing.B, w *harness.World, id diaphone.MessageID) (all []time.Duration) {
	b.Helper()
	page := client.PageOptions{Limit: 1000}
	for {
		p, err := w.Client.Deliveries(context.Background(), id, page)
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range p.Data {
			for _, a := range d.Attempts {
				all = append(all, time.Duration(a.LatencyMS)*time.Millisecond)
			}
		}
		if p.NextCursor == "" {
			slices.Sort(all)
			return all
		}
		page.Cursor = p.NextCursor
	}
}

// accept has a crowd publish durable notifications.
func accept(edit func(string) string, rate, p99 string) func(b *testing.B) []series {
	return func(b *testing.B) []series {
		const messages = 300 * crowd
		w := harness.NewWorld(b, edit)
		w.AddPhones(crowd, diaphone.Android, "phone", "news")
		var rates, p50s, p99s, cpus []float64
		for range rounds * b.N {
			used := w.Gateway.CPU()
			waits, took := load(b, w, messages, func(i int) (method, path, body string) { return publication(fmt.Sprintf("phone-%d", i%crowd)) })
			rates = append(rates, messages/took.Seconds())
			p50s = append(p50s, percentile(waits, 50))
			p99s = append(p99s, percentile(waits, 99))
			cpus = append(cpus, each(w.Gateway.CPU()-used, messages))
		}
		return []series{
			{"rate", "accepts/s", rate, rates},
			{"p50", "ms-p50", "", p50s},
			{"p99", "ms-p99", p99, p99s},
			{"gateway CPU", "µs/message", "", cpus},
		}
	}
}

// encrypt is the provider's own benchmark, for nothing of it can be seen from outside.
func encrypt(b *testing.B) []series {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkMessage$", "-benchtime", "1s", "-cpu", "1",
		"-count", strconv.Itoa(rounds*b.N), "github.com/diaphone-dev/diaphone/providers/webpush").CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var costs []float64
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "ns/op"); i > 0 {
			ns, err := strconv.ParseFloat(fields[i-1], 64)
			if err != nil {
				b.Fatal(err)
			}
			costs = append(costs, ns/1000)
		}
	}
	if len(costs) == 0 {
		b.Fatalf("no figure in:\n%s", out)
	}
	return []series{{"cost", "µs/message", "<= 100", costs}}
}
