package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// countedFor is how long a count of an app's devices is believed: to count a million takes
// some milliseconds.
const countedFor = 10 * time.Second

// population is how many devices an app has, about: those that were made here since it
// was counted are in it, those that were deleted are not out of it.
type population struct {
	mu      sync.Mutex
	counted time.Time
	devices int
}

// known gives the number, unless it is too old.
func (p *population) known(now time.Time) (devices int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.devices, !p.counted.IsZero() && now.Sub(p.counted) < countedFor
}

func (p *population) learn(devices int, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.devices, p.counted = devices, now
}

func (p *population) grow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.devices++
}

// crowded gives the refusal of one more device of the app, or nil. Many who come at once
// may get past the limit, by as many as they are.
func (g *Gateway) crowded(ctx context.Context, id diaphone.AppID) (refusal, err error) {
	app, p := g.parts.Apps.ByID(id), g.populations[id]
	if app == nil || app.Limits.Devices <= 0 {
		return nil, nil
	}
	now := time.Now()
	n, ok := p.known(now)
	if !ok {
		if n, err = g.parts.Devices.CountDevices(ctx, id); err != nil {
			return nil, err
		}
		p.learn(n, now)
	}
	if n < app.Limits.Devices {
		return nil, nil
	}
	return &diaphone.Error{
		Code:   diaphone.Forbidden,
		Detail: "the app has as many devices as it may have",
		Hint:   "delete devices that are gone; whoever runs the gateway can raise limits.devices",
	}, nil
}
