package sockets

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A silent connection costs no goroutine.
func TestEpollNeedsNoGoroutines(t *testing.T) {
	needNoGoroutines(t, start(t, New(Config{Poller: PollerEpoll})))
}

func needNoGoroutines(t *testing.T, s *server) {
	t.Helper()
	const many = 100
	dial(t, s).say("whatever is made once is made now")
	before := runtime.NumGoroutine()
	for range many {
		p := dial(t, s)
		p.say("hi")
		p.hear("hi")
	}
	// net/http's own goroutines return shortly after the upgrade.
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before+many/10; <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines for %d connections", runtime.NumGoroutine()-before, many)
		}
	}
}

// Events about a descriptor that belongs to another connection by now are dropped.
func TestEventsOfAFormerOwner(t *testing.T) {
	s := start(t, New(Config{Poller: PollerEpoll}))
	p := dial(t, s)
	p.say("hi")
	p.hear("hi")
	c := wait(t, "the connection", s.conns)
	l := c.link.(*epollLink)
	c.mu.Lock()
	now := *l.interest()
	c.mu.Unlock()
	former := now
	former.Pad--
	found := make([]resident, 1)
	if l.shard.find([]unix.EpollEvent{former}, found); found[0] != nil {
		t.Error("an event of the descriptor's former owner was taken for one of the new")
	}
	if l.shard.find([]unix.EpollEvent{now}, found); found[0] != l {
		t.Error("an event of the owner was dropped")
	}
}
