package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"
)

// load is one run of the socket benchmark.
type load struct {
	alive  context.Context // the whole run's; publishing ends before it, and what is under way then is finished
	flags  *benchSocketsCmd
	target *url.URL
	crew   *crew
	start  time.Time
	names  []string // of the channels
	failed chan error

	together int // connections made at a time

	publishers []*benchPublisher

	mu        sync.Mutex // guards all below; few goroutines want it
	handshake histogram
	latency   histogram
	ack       histogram
	probe     histogram
	unread    []net.Conn // of those who never read
	delivered int64
	expected  int64
	settled   chan struct{} // hears when delivered reaches expected
}

const (
	benchChannel = "bench-"
	probeChannel = "bench-probe"
	connectors   = 32 // connections made at a time, unless it storms
	openLoop     = 16 // publishers that share a fixed rate
	drainWait    = 10 * time.Second
)

func newLoad(ctx context.Context, b *benchSocketsCmd, target *url.URL) (*load, error) {
	l := &load{alive: ctx, flags: b, target: target, start: time.Now(), failed: make(chan error, 1), together: connectors, settled: make(chan struct{}, 1)}
	for i := range b.Channels {
		l.names = append(l.names, fmt.Sprint(benchChannel, i))
	}
	var err error
	l.crew, err = newCrew(l)
	return l, err
}

func (l *load) close() {
	for _, p := range l.publishers {
		p.close()
	}
	for _, conn := range l.unread {
		_ = conn.Close()
	}
	l.crew.close()
}

// now is the clock of the run: the events carry it.
func (l *load) now() time.Duration { return time.Since(l.start) }

// fail keeps the first failure of the run.
func (l *load) fail(err error) {
	select {
	case l.failed <- err:
	default:
	}
}

func (l *load) run() (*benchResult, error) {
	r := &benchResult{Connections: l.flags.Channels * l.flags.Subscribers}
	ctx := l.alive
	before, err := useOf(l.flags.PID)
	if err != nil {
		return nil, err
	}
	if err := l.connect(ctx, r); err != nil {
		return nil, err
	}
	if l.flags.Idle {
		err = l.rest(ctx, l.flags.Duration)
	} else {
		err = l.measure(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	after, err := useOf(l.flags.PID)
	if err == nil && r.Connections > 0 {
		r.MemoryPerConn = float64(after.resident-before.resident) / float64(r.Connections)
	}
	return r, err
}

// connect makes all connections, some at a time.
func (l *load) connect(ctx context.Context, r *benchResult) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before, err := useOf(l.flags.PID)
	if err != nil {
		return err
	}
	begun := l.now()
	places := make(chan int)
	var all sync.WaitGroup
	for range l.together {
		all.Go(func() {
			for i := range places {
				if err := l.place(ctx, l.names[i%len(l.names)], i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < r.Connections && ctx.Err() == nil; i++ {
		places <- i
	}
	close(places)
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	after, err := useOf(l.flags.PID)
	if n := float64(r.Connections); n > 0 && err == nil {
		r.ConnectsPerSecond = n / (l.now() - begun).Seconds()
		r.Handshake = l.handshake.summary()
		r.ConnectCPU = float64((after.cpu() - before.cpu()).Microseconds()) / n
	}
	if l.flags.ProbeRate > 0 && err == nil {
		err = l.place(ctx, probeChannel, probePlace)
	}
	return err
}

// probePlace is behind all others.
const probePlace = maxBenchConnections

// place makes one connection; the first are the slow ones.
func (l *load) place(ctx context.Context, channel string, i int) error {
	begun := l.now()
	b, err := l.enlist(ctx, channel, i == probePlace)
	if err != nil {
		return err
	}
	l.shaken(l.now() - begun)
	if i < l.flags.Slow {
		l.mu.Lock()
		l.unread = append(l.unread, b.conn)
		l.mu.Unlock()
		return nil
	}
	return l.crew.add(b)
}

func (l *load) shaken(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handshake.add(d)
}

// rest lets the gateway stand idle.
func (l *load) rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-l.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure publishes for a while to warm up, and then to count.
func (l *load) measure(ctx context.Context, r *benchResult) error {
	l.open()
	if l.flags.WarmUp > 0 {
		if _, err := l.publishFor(ctx, l.flags.WarmUp); err != nil {
			return err
		}
	}
	l.reset()
	before, err := useOf(l.flags.PID)
	if err != nil {
		return err
	}
	own, _ := useOf(os.Getpid()) // only a figure less where there is no /proc
	begun := l.now()
	events, err := l.publishFor(ctx, l.flags.Duration)
	if err != nil {
		return err
	}
	after, err := useOf(l.flags.PID)
	if err != nil {
		return err
	}
	ownAfter, _ := useOf(os.Getpid())
	l.sum(r, events, l.now()-begun)
	r.charge(before, after, l.now()-begun)
	r.OwnCPU = per(ownAfter.cpu()-own.cpu(), int64(r.Events)+r.Deliveries)
	return nil
}

func (l *load) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency, l.ack, l.probe = histogram{}, histogram{}, histogram{}
	l.delivered, l.expected = 0, 0
}

// sum reports what the listeners and publishers counted.
func (l *load) sum(r *benchResult, events int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Events, r.Deliveries, r.Lost = events, l.delivered, l.expected-l.delivered
	r.EventsPerSecond = float64(events) / took.Seconds()
	r.PerSecond = float64(l.delivered) / took.Seconds()
	r.Latency, r.Ack, r.Probe = l.latency.summary(), l.ack.summary(), l.probe.summary()
}

// charge divides what the gateway used.
func (r *benchResult) charge(before, after processUse, took time.Duration) {
	used := after.cpu() - before.cpu()
	r.EventCPU, r.DeliveryCPU = per(used, int64(r.Events)), per(used, r.Deliveries)
	r.ServerCores = used.Seconds() / took.Seconds()
	if used > 0 {
		r.ServerUserShare = float64(after.user-before.user) / float64(used)
	}
}

// per gives microseconds for each of n.
func per(d time.Duration, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(d.Nanoseconds()) / 1e3 / float64(n)
}
