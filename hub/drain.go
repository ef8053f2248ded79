package hub

import (
	"context"
	"math/rand/v2"
	"time"
)

// The codes of Pusher's protocol that sessions are sent away with. Clients come back
// without jitter: at once after the first, after a second after the other.
const (
	closeRestart = 4200
	closeWait    = 4100
)

// Drain refuses new sessions and closes those that are open. With a window they go in
// random order, spread evenly over it, and come back at once, to another node. Without
// one they go all at once and come back after a second: by then the next process
// listens, while one that was refused before that would wait for long (pusher-js: 15 s
// for a port that is closed). When ctx has ended the rest goes at once. It returns
// when they are gone, or when ctx has ended.
func (h *Hub) Drain(ctx context.Context, window time.Duration) {
	h.draining.Store(true)
	code := closeRestart
	if window == 0 {
		code = closeWait
	}
	all := h.everySession()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for i, s := range all {
		if wait := time.Until(start.Add(window * time.Duration(i) / time.Duration(len(all)))); wait > 0 && ctx.Err() == nil {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		s.Close(code, "server is restarting")
	}
	for h.open.Load() > 0 {
		select {
		case <-h.emptied:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hub) everySession() []*Session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var all []*Session
	for _, t := range h.tenants {
		all = append(all, t.everySession()...)
	}
	return all
}
