package cli

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
)

// bench runs a short load.
func (d *dev) bench(args ...string) (stdout string) {
	d.t.Helper()
	return d.must(append([]string{"bench", "sockets", "--warm-up", "50ms", "--duration", "400ms"}, args...)...)
}

// TestBenchSocketsTable: each row is there, in order, with a figure of its kind.
func TestBenchSocketsTable(t *testing.T) {
	d := startDev(t)
	const figure, latency = `\d+`, `p50 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms`
	const cost = `\d+\.\d\d µs`
	rows := [][2]string{
		{"WHAT", "VALUE"},
		{"connections", "40"},
		{"connects/s", figure},
		{"server-CPU/connect", cost},
		{"handshake", latency},
		{"server-memory/connection", `-?\d+ B`},
		{"events", `[1-9]\d*`},
		{"events/s", figure},
		{"server-CPU/event", cost},
		{"deliveries", `[1-9]\d*`},
		{"lost", "0"},
		{"deliveries/s", figure},
		{"server-CPU/delivery", cost},
		{"server-cores", `\d+\.\d\d \(\d+% user\)`},
		{"generator-CPU/message", cost},
		{"latency", latency},
		{"publish-answered", latency},
		{"probe-latency", latency},
	}
	out := d.bench("--channels", "2", "--subscribers", "20", "--probe-rate", "50", "--pid", fmt.Sprint(d.p.PID()))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(rows) {
		t.Fatalf("%d rows, want %d:\n%s", len(lines), len(rows), out)
	}
	column := strings.Index(lines[0], "VALUE")
	for i, line := range lines {
		if want := regexp.MustCompile(`^` + regexp.QuoteMeta(rows[i][0]) + ` {2,}` + rows[i][1] + `$`); !want.MatchString(line) {
			t.Errorf("row %q, want %s", line, want)
		}
		if len(line) <= column || line[column] == ' ' || line[column-1] != ' ' {
			t.Errorf("row %q does not keep to the column at %d", line, column)
		}
	}
}

// benched is what is read of --json.
type benched struct {
	Connections int
	Events      int
	Deliveries  int
	Lost        int
	PerSecond   float64             `json:"deliveries_per_second"`
	MemoryPer   float64             `json:"memory_per_conn_bytes"`
	Handshake   struct{ Count int } `json:"handshake_ms"`
	Latency     struct{ Count int } `json:"latency_ms"`
	Ack         struct{ Count int } `json:"ack_ms"`
	Probe       struct{ Count int } `json:"probe_ms"`
}

// TestBenchSocketsCounts: what is told adds up, for each kind of load.
func TestBenchSocketsCounts(t *testing.T) {
	d := startDev(t)
	for _, c := range []struct {
		args            string
		connections     int
		receivers       int // of one event
		atLeast, atMost int // events
		probes          bool
	}{
		{"--subscribers 30", 30, 30, 1, math.MaxInt, false},
		{"--subscribers 30 --in-flight 1 --size 2000", 30, 30, 1, math.MaxInt, false},
		{"--subscribers 5 --channels 4 --rate 50", 20, 5, 1, 25, false},
		{"--subscribers 30 --slow 10 --rate 50 --probe-rate 20", 30, 20, 1, 25, true},
		{"--subscribers 0", 0, 0, 1, math.MaxInt, false},
		{"--subscribers 1 --channels 25 --idle", 25, 0, 0, 0, false},
		{"--subscribers 30 --rate 50 --storm", 30, 30, 1, 25, false},
	} {
		var got benched
		decode(t, d.bench(append(strings.Fields(c.args), "--json")...), &got)
		if got.Connections != c.connections || got.Lost != 0 || got.Deliveries != got.Events*c.receivers || got.Latency.Count != got.Deliveries || got.Ack.Count != got.Events {
			t.Errorf("%s: %+v does not add up for %d connections and %d receivers", c.args, got, c.connections, c.receivers)
		}
		if got.Handshake.Count != c.connections {
			t.Errorf("%s: %d handshakes, want %d", c.args, got.Handshake.Count, c.connections)
		}
		if got.Events < c.atLeast || got.Events > c.atMost || (got.PerSecond > 0) != (got.Deliveries > 0) || (got.Probe.Count > 0) != c.probes {
			t.Errorf("%s: %+v, want %d to %d events, probes %v", c.args, got, c.atLeast, c.atMost, c.probes)
		}
		if got.MemoryPer != 0 {
			t.Errorf("%s: %v bytes a connection, without --pid", c.args, got.MemoryPer)
		}
	}
}

func TestWrongUseOfBenchSockets(t *testing.T) {
	d := startDev(t)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--server ftp://127.0.0.1:6001", 2, "no http or https URL"},
		{"--server 127.0.0.1:6001", 2, "no http or https URL"},
		{"--server http://192.0.2.1", 2, "--i-own-this-server"},
		{"--server http://example.com", 2, "not on loopback"},
		{"--channels 0", 2, "0 channels"},
		{"--subscribers=-1", 2, "of -1"},
		{"--channels 20 --subscribers 1000", 2, "19000"},
		{"--subscribers 5 --slow 5", 2, "--slow 5"},
		{"--channels 2 --slow 1", 2, "--slow 1"},
		{"--slow=-1", 2, "--slow -1"},
		{"--rate=-1", 2, "not negative"},
		{"--in-flight 0", 2, "--in-flight"},
		{"--duration 0s", 2, "--duration"},
		{"--duration soon", 2, "--duration"},
		{"--size 1", 2, "--size 1"},
		{"--frobs 1", 2, "--frobs"},
		{"--server http://127.0.0.1:1", 7, "127.0.0.1:1"},
		{"--subscribers 1 --key unknown", 1, "4001"},
		{"--subscribers 1 --secret wrong", 4, "401"},
		{"--subscribers 1 --pid 2147483647", 1, "--pid"},
	} {
		out, errs, code := d.run(append([]string{"bench", "sockets", "--warm-up", "0s", "--duration", "100ms"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("bench sockets %s: exit code %d, want %d with %q in:\n%s%s", c.args, code, c.code, c.says, errs, out)
		}
	}
}
