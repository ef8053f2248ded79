package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"
)

// benchCmd measures a running gateway from outside, as its users would feel it.
type benchCmd struct {
	Sockets benchSocketsCmd `cmd:"" help:"Hold many WebSockets, publish to them, and measure."`
}

// maxBenchConnections keeps the descriptors of one process within bounds: more
// need several processes.
const maxBenchConnections = 19_000

type benchSocketsCmd struct {
	jsonFlag
	Server       string        `help:"URL of the gateway." default:"http://127.0.0.1:6001" placeholder:"URL"`
	AppID        string        `help:"Id of the app." default:"1"`
	Key          string        `help:"Public key of the app." default:"app-key"`
	Secret       string        `help:"Secret of the app; better given as DIAPHONE_SECRET." default:"app-secret"`
	Channels     int           `help:"Channels to publish to, in turn." default:"1" env:"-"`
	Subscribers  int           `help:"Connections subscribed to each channel." default:"100" env:"-"`
	Slow         int           `help:"So many of the connections never read; they are not among those who should receive." env:"-"`
	Rate         float64       `help:"Events a second; 0: as many as --in-flight allows." env:"-"`
	InFlight     int           `help:"Events that may be under way at a time: published, and not yet received by all." default:"4" env:"-"`
	Idle         bool          `help:"Publish nothing: measure connecting, and memory after --duration." env:"-"`
	Storm        bool          `help:"Once all are connected, end all connections and come back all at once: connecting is measured on the way back." env:"-"`
	ProbeRate    float64       `help:"Beside the load, events a second to a channel of one, whose latency is told apart." env:"-"`
	Size         int           `help:"Bytes of an event's data." default:"200" env:"-"`
	WarmUp       time.Duration `help:"Load before measuring." default:"2s" env:"-"`
	Duration     time.Duration `help:"How long to measure." default:"10s" env:"-"`
	PID          int           `name:"pid" help:"Process of the gateway, to measure its processor time and memory (Linux)." placeholder:"PID" env:"-"`
	IOwnThisServ bool          `name:"i-own-this-server" help:"Allow a gateway that is not on loopback." env:"-"`
}

// Run connects, publishes and prints what it measured.
func (b *benchSocketsCmd) Run(c *console) error {
	target, err := b.check()
	if err != nil {
		return err
	}
	if b.Storm {
		if err := beforeTheStorm(c.ctx, b, target); err != nil {
			return err
		}
	}
	l, err := newLoad(c.ctx, b, target)
	if err != nil {
		return err
	}
	defer l.close()
	if b.Storm {
		l.together = b.Channels * b.Subscribers
	}
	r, err := l.run()
	if err != nil {
		return err
	}
	if b.JSON {
		return c.json(r)
	}
	return r.print(c)
}

// beforeTheStorm connects all and ends all connections.
func beforeTheStorm(ctx context.Context, b *benchSocketsCmd, target *url.URL) error {
	l, err := newLoad(ctx, b, target)
	if err != nil {
		return err
	}
	defer l.close()
	return l.connect(ctx, new(benchResult))
}

// check refuses what would not work, or would hurt a stranger.
func (b *benchSocketsCmd) check() (*url.URL, error) {
	target, err := url.Parse(b.Server)
	if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return nil, usagef("--server %q is no http or https URL", b.Server)
	}
	ip := net.ParseIP(target.Hostname())
	loopback := target.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	clients := b.Channels * b.Subscribers
	switch {
	case !loopback && !b.IOwnThisServ:
		return nil, usagef("--server %s is not on loopback: a load like this is an attack on anybody else's server; say --i-own-this-server if it is yours", b.Server)
	case b.Channels < 1 || b.Subscribers < 0 || clients > maxBenchConnections:
		return nil, usagef("%d channels of %d: up to %d connections, each in one channel", b.Channels, b.Subscribers, maxBenchConnections)
	case b.Slow < 0 || b.Slow > 0 && (b.Channels > 1 || b.Slow >= b.Subscribers):
		return nil, usagef("--slow %d: with one channel, and fewer than its subscribers", b.Slow)
	case b.Rate < 0 || b.ProbeRate < 0 || b.InFlight < 1 || b.Duration <= 0 || b.WarmUp < 0:
		return nil, usagef("--rate, --probe-rate, --in-flight, --duration and --warm-up are not negative, and there is something to measure")
	case b.Size < minEventSize:
		return nil, usagef("--size %d: at least %d, for the event carries its time", b.Size, minEventSize)
	}
	if target.Port() == "" {
		target.Host = net.JoinHostPort(target.Hostname(), map[string]string{"http": "80", "https": "443"}[target.Scheme])
	}
	return target, nil
}

// benchResult is what was measured. Processor figures are of the gateway's
// process; they are missing without --pid.
type benchResult struct {
	Connections       int     `json:"connections"`
	ConnectsPerSecond float64 `json:"connects_per_second,omitempty"`
	ConnectCPU        float64 `json:"connect_cpu_us,omitempty"`     // for each, subscription included
	Handshake         summary `json:"handshake_ms"`                 // dialled to subscribed
	MemoryPerConn     float64 `json:"memory_per_conn_bytes"`        // resident, after the run
	Events            int     `json:"events"`                       // published in the measured time
	EventsPerSecond   float64 `json:"events_per_second"`            //
	EventCPU          float64 `json:"event_cpu_us"`                 //
	Deliveries        int64   `json:"deliveries"`                   //
	Lost              int64   `json:"lost"`                         // expected, and not come in time
	PerSecond         float64 `json:"deliveries_per_second"`        //
	DeliveryCPU       float64 `json:"delivery_cpu_us"`              //
	ServerCores       float64 `json:"server_cores"`                 // kept busy
	ServerUserShare   float64 `json:"server_user_share"`            // of its processor time, outside the kernel
	OwnCPU            float64 `json:"generator_cpu_us_per_message"` // to tell who the bottleneck was
	Latency           summary `json:"latency_ms"`                   // publish to received
	Ack               summary `json:"ack_ms"`                       // publish to answered
	Probe             summary `json:"probe_ms"`                     // as Latency, of the channel of one
}

func (r *benchResult) print(c *console) error {
	rows := [][]string{
		{"connections", fmt.Sprint(r.Connections)},
		{"connects/s", fmt.Sprintf("%.0f", r.ConnectsPerSecond)},
		{"server-CPU/connect", microseconds(r.ConnectCPU)},
		{"handshake", r.Handshake.String()},
		{"server-memory/connection", fmt.Sprintf("%.0f B", r.MemoryPerConn)},
		{"events", fmt.Sprint(r.Events)},
		{"events/s", fmt.Sprintf("%.0f", r.EventsPerSecond)},
		{"server-CPU/event", microseconds(r.EventCPU)},
		{"deliveries", fmt.Sprint(r.Deliveries)},
		{"lost", fmt.Sprint(r.Lost)},
		{"deliveries/s", fmt.Sprintf("%.0f", r.PerSecond)},
		{"server-CPU/delivery", microseconds(r.DeliveryCPU)},
		{"server-cores", fmt.Sprintf("%.2f (%.0f%% user)", r.ServerCores, 100*r.ServerUserShare)},
		{"generator-CPU/message", microseconds(r.OwnCPU)},
		{"latency", r.Latency.String()},
		{"publish-answered", r.Ack.String()},
		{"probe-latency", r.Probe.String()},
	}
	return c.table("WHAT VALUE", rows)
}

func microseconds(us float64) string { return fmt.Sprintf("%.2f µs", us) }
