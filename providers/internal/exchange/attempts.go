package exchange

import (
	"context"
	"sync"
)

// Attempts are those of a provider that are under way, so that it can be closed
// at any time.
type Attempts struct {
	closing context.Context // ends with Close
	cancel  context.CancelFunc

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
}

// NewAttempts starts no goroutine.
func NewAttempts() *Attempts {
	a := &Attempts{}
	a.closing, a.cancel = context.WithCancel(context.Background())
	return a
}

// Begin registers an attempt, whose context ends when Close is called; ok is
// false once it was. The caller calls end.
func (a *Attempts) Begin(ctx context.Context) (attempt context.Context, end func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ctx, nil, false
	}
	a.open.Add(1)
	attempt, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(a.closing, cancel)
	return attempt, func() {
		stop()
		cancel()
		a.open.Done()
	}, true
}

// Closed tells whether Close has been called.
func (a *Attempts) Closed() bool { return a.closing.Err() != nil }

// Close ends the attempts under way and waits for them.
func (a *Attempts) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.open.Wait()
}
