package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// benchPublisher is one connection to the HTTP API and the event it waits for.
// It publishes one event at a time. Numbers of events are publisher + count ×
// publishers, so that a receiver finds the publisher again.
type benchPublisher struct {
	*signedPublisher
	number uint64
	left   atomic.Int64 // receptions that the event under way still lacks
	done   chan struct{}
}

// open makes the publishers.
func (l *load) open() {
	n := l.flags.InFlight
	if l.flags.Rate > 0 {
		n = openLoop
	}
	for i := range n + 1 { // the last is the probe's
		p := l.flags.publisher(l.target)
		l.publishers = append(l.publishers, &benchPublisher{signedPublisher: p, number: uint64(i), done: make(chan struct{}, 1)})
	}
}

// publishFor keeps the load up for a while, waits until everything that was
// published has been received, and tells how many events there were.
func (l *load) publishFor(ctx context.Context, d time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var all sync.WaitGroup
	var events atomic.Int64
	load, probe := l.publishers[:len(l.publishers)-1], l.publishers[len(l.publishers)-1]
	var ticks <-chan time.Duration
	if l.flags.Rate > 0 {
		ticks = l.ticks(ctx, &all, l.flags.Rate)
	}
	for _, p := range load {
		all.Go(func() { l.drive(ctx, p, ticks, &events) })
	}
	if l.flags.ProbeRate > 0 {
		beats := l.ticks(ctx, &all, l.flags.ProbeRate)
		all.Go(func() { l.driveProbe(probe, beats) })
	}
	all.Wait()
	select {
	case err := <-l.failed:
		return 0, err
	default:
		return int(events.Load()), l.drain()
	}
}

// ticks gives the times at which events are due. Who comes late does not lose
// them: the latency of an event counts from when it was due.
func (l *load) ticks(ctx context.Context, all *sync.WaitGroup, rate float64) <-chan time.Duration {
	due := make(chan time.Duration, 1<<16)
	every := time.Duration(float64(time.Second) / rate)
	all.Go(func() {
		defer close(due)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for next := l.now(); ; next += every {
			timer.Reset(next - l.now())
			select {
			case <-timer.C:
				due <- next
			case <-ctx.Done():
				return
			}
		}
	})
	return due
}

// drive publishes: at the ticks, or without them whenever the last event has
// been received by all.
func (l *load) drive(ctx context.Context, p *benchPublisher, ticks <-chan time.Duration, events *atomic.Int64) {
	for n := uint64(0); ctx.Err() == nil; n++ {
		at := l.now()
		if ticks != nil {
			var ok bool
			if at, ok = <-ticks; !ok {
				return
			}
		}
		number := p.number + n*uint64(len(l.publishers))
		p.left.Store(int64(l.flags.Subscribers - l.flags.Slow))
		l.expect(l.flags.Subscribers - l.flags.Slow)
		if err := p.publish(l.alive, l.names[number%uint64(len(l.names))], at, number); err != nil {
			l.fail(err)
			return
		}
		l.answered(l.now() - at)
		events.Add(1)
		if ticks == nil && l.flags.Subscribers > 0 && !p.wait() {
			return
		}
	}
}

// wait waits for the event under way; false when it does not come.
func (p *benchPublisher) wait() bool {
	timer := time.NewTimer(drainWait)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

func (l *load) driveProbe(p *benchPublisher, ticks <-chan time.Duration) {
	for at := range ticks {
		if err := p.publish(l.alive, probeChannel, at, 0); err != nil {
			l.fail(err)
			return
		}
	}
}

func (l *load) expect(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected += int64(n)
}

func (l *load) answered(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ack.add(d)
}

// received counts one reception; the crew calls it.
func (l *load) received(at time.Duration, number uint64, now time.Duration, probe bool) {
	l.mu.Lock()
	if probe {
		l.probe.add(now - at)
		l.mu.Unlock()
		return
	}
	l.latency.add(now - at)
	l.delivered++
	all := l.delivered == l.expected
	l.mu.Unlock()
	if all {
		select {
		case l.settled <- struct{}{}:
		default:
		}
	}
	if p := l.publishers[number%uint64(len(l.publishers))]; p.left.Add(-1) == 0 && l.flags.Rate == 0 {
		p.done <- struct{}{}
	}
}

// drain waits until all that was published has come; what has not after a while
// is reported as lost.
func (l *load) drain() error {
	timer := time.NewTimer(drainWait)
	defer timer.Stop()
	for {
		l.mu.Lock()
		left := l.expected - l.delivered
		l.mu.Unlock()
		if left <= 0 {
			return nil
		}
		select {
		case <-l.settled:
		case err := <-l.failed:
			return err
		case <-timer.C:
			return nil
		}
	}
}
