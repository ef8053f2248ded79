package hub

import (
	"sync"
	"time"
)

// later runs what is due after a while, and at its end waits for what runs. What
// is run must not wait for anything.
type later struct {
	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
}

// after is time.AfterFunc, but for what is due after the end, which is not run.
func (l *later) after(d time.Duration, run func()) *time.Timer {
	return time.AfterFunc(d, func() {
		l.mu.Lock()
		if l.stopped {
			l.mu.Unlock()
			return
		}
		l.running.Add(1)
		l.mu.Unlock()
		defer l.running.Done()
		run()
	})
}

func (l *later) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.running.Wait()
}
