package bench

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// serveFlags are given to the gateway, to compare: -serve-flags="--poller=go".
var serveFlags = flag.String("serve-flags", "", "further flags of diaphone serve")

// seen is what a test reads of `diaphone bench sockets --json`.
type seen struct {
	ConnectsPerSecond float64 `json:"connects_per_second"`
	ConnectCPU        float64 `json:"connect_cpu_us"`
	MemoryPerConn     float64 `json:"memory_per_conn_bytes"`
	EventsPerSecond   float64 `json:"events_per_second"`
	EventCPU          float64 `json:"event_cpu_us"`
	Lost              int64   `json:"lost"`
	Handshake         struct {
		P50, P99 float64
	} `json:"handshake_ms"`
	PerSecond   float64 `json:"deliveries_per_second"`
	DeliveryCPU float64 `json:"delivery_cpu_us"`
	OwnCPU      float64 `json:"generator_cpu_us_per_message"`
	Latency     struct {
		P50, P99 float64
	} `json:"latency_ms"`
	Probe struct {
		P50, P99 float64
	} `json:"probe_ms"`
}

// figure is one number of a measurement, and what it should reach.
type figure struct {
	name, unit string
	target     string
	of         func(*seen) float64
}

func deliveryCPU(target string) figure {
	return figure{"server CPU", "µs/delivery", target, func(s *seen) float64 { return s.DeliveryCPU }}
}

func eventCPU(target string) figure {
	return figure{"server CPU", "µs/publish", target, func(s *seen) float64 { return s.EventCPU }}
}

func deliveries(target string) figure {
	return figure{"rate", "deliveries/s", target, func(s *seen) float64 { return s.PerSecond }}
}

func events(target string) figure {
	return figure{"rate", "publishes/s", target, func(s *seen) float64 { return s.EventsPerSecond }}
}

func latency99(target string) figure {
	return figure{"p99 publish to received", "ms-p99", target, func(s *seen) float64 { return s.Latency.P99 }}
}

// sockets are the measurements of the live side, each with a gateway of its own.
var sockets = []struct {
	name    string
	load    string // flags of diaphone bench sockets; https: the gateway speaks TLS
	figures []figure
}{
	{"lone-events-to-10000", "--subscribers=10000 --rate=5", []figure{deliveryCPU("<= 8"), latency99("<= 100")}},
	{"10000-with-4-in-flight", "--subscribers=10000 --in-flight=4", []figure{deliveryCPU("<= 3"), deliveries(">= 300,000")}},
	{"1000-with-16-in-flight", "--subscribers=1000 --in-flight=16", []figure{deliveryCPU("<= 1.5"), deliveries(">= 600,000")}},
	{"one-person-beside-10000", "--subscribers=10000 --rate=5 --probe-rate=50", []figure{
		{"p99 of the one", "ms-p99-of-one", "<= 20", func(s *seen) float64 { return s.Probe.P99 }},
		{"p50 of the one", "ms-p50-of-one", "", func(s *seen) float64 { return s.Probe.P50 }},
	}},
	{"15000-idle", "--channels=15000 --subscribers=1 --idle", []figure{
		{"memory", "B/connection", "<= 2,500", func(s *seen) float64 { return s.MemoryPerConn }},
		{"connect and subscribe, server CPU", "µs/connect", "<= 60", func(s *seen) float64 { return s.ConnectCPU }},
		{"connect and subscribe", "connects/s", "", func(s *seen) float64 { return s.ConnectsPerSecond }},
	}},
	{"10000-idle-under-TLS", "--channels=10000 --subscribers=1 --idle https", []figure{
		{"memory", "B/connection", "<= 16,000", func(s *seen) float64 { return s.MemoryPerConn }},
		{"connect and subscribe, server CPU", "µs/connect", "", func(s *seen) float64 { return s.ConnectCPU }},
	}},
	{"8000-alone, 4 KB", "--subscribers=8000 --size=4000 --rate=5", []figure{latency99("")}},
	{"8000-beside-1000-slow, 4 KB", "--subscribers=9000 --slow=1000 --size=4000 --rate=5", []figure{latency99("<= 2 x alone")}},
	{"10000-back-at-once", "--channels=10000 --subscribers=1 --idle --storm --duration=1s", []figure{
		{"connect and subscribe", "connects/s", "", func(s *seen) float64 { return s.ConnectsPerSecond }},
		{"p50 of the handshake", "ms-p50", "", func(s *seen) float64 { return s.Handshake.P50 }},
		{"p99 of the handshake", "ms-p99", "", func(s *seen) float64 { return s.Handshake.P99 }},
	}},
	{"signed-publish-to-nobody", "--subscribers=0 --in-flight=16", []figure{eventCPU("<= 23"), events("")}},
	{"5000-channels-of-one", "--channels=5000 --subscribers=1 --in-flight=16", []figure{eventCPU("<= 40"), events(">= 18,000"), latency99("")}},
}

// BenchmarkSockets prints the speed table of the live side: gateway on one core,
// `diaphone bench sockets` on another, the gateway's processor time out of /proc.
func BenchmarkSockets(b *testing.B) {
	var t table
	for _, m := range sockets {
		b.Run(m.name, func(b *testing.B) {
			var runs []*seen
			for range rounds * b.N {
				runs = append(runs, measure(b, strings.Fields(m.load)))
			}
			for _, f := range m.figures {
				s := series{name: f.name, unit: f.unit, target: f.target}
				for _, run := range runs {
					s.values = append(s.values, f.of(run))
				}
				t.add(b, m.name, s)
			}
		})
	}
	t.print()
}

// benchApps is an app without providers.
const benchApps = `apps:
  - id: "1"
    name: bench
    keys: [{key: app-key, secret: app-secret}]
    tokens: [{token: dp_dev}]
`

// measure runs one gateway and one load.
func measure(b *testing.B, load []string) *seen {
	b.Helper()
	dir := b.TempDir()
	apps := filepath.Join(dir, "apps.yaml")
	if err := os.WriteFile(apps, []byte(benchApps), 0o600); err != nil {
		b.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", harness.Ports(b, 1))
	scheme, web := "http", &http.Transport{DisableKeepAlives: true}
	var secure []string
	if n := len(load) - 1; load[n] == "https" {
		cert := harness.Certify(b, dir, "localhost")
		web.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		web.TLSClientConfig.RootCAs.AddCert(cert)
		b.Setenv("SSL_CERT_FILE", filepath.Join(dir, "cert.pem"))
		secure = []string{"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem")}
		scheme, load = "https", load[:n]
	}
	args := []string{"serve", "--apps", apps, "--data-dir", filepath.Join(dir, "data"), "--listen", address, "--log-level", "error", "--drain-for", "0s"}
	gateway := harness.StartOn(b, 0, slices.Concat(args, secure, strings.Fields(*serveFlags))...)
	defer gateway.Kill()
	client := &http.Client{Timeout: time.Second, Transport: web}
	harness.Until(b, 20*time.Second, "the gateway is ready", func() bool {
		resp, err := client.Get(scheme + "://" + address + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	command := []string{"bench", "sockets", "--json", "--server", scheme + "://" + address, "--pid", fmt.Sprint(gateway.PID())}
	out, errs, err := harness.RunOn(b, 1, append(command, load...)...)
	if err != nil {
		b.Fatalf("diaphone bench sockets: %v\n%s\n%s", err, errs, gateway.Stderr())
	}
	s := new(seen)
	if err := json.Unmarshal([]byte(out), s); err != nil {
		b.Fatalf("%v in %s", err, out)
	}
	if s.Lost > 0 {
		b.Errorf("%d deliveries did not come", s.Lost)
	}
	return s
}
