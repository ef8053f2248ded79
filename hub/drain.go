package hub

import (
	"context"
	"math/rand/v2"
	"time"
)

// closeRestart tells clients to come back at once, to another process by then
// (Pusher's 4200). Spread and shuffled, for pusher-js comes back without jitter.
const closeRestart = 4200

// Drain refuses new sessions and closes those that are open, in random order and
// spread evenly over the window; once ctx has ended, all the rest at once. It
// returns when they are gone, or when ctx has ended.
func (h *Hub) Drain(ctx context.Context, window time.Duration) {
	h.draining.Store(true)
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
		s.Close(closeRestart, "server is restarting")
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
