// Package stats counts what a simulated vendor saw.
package stats

import (
	"maps"
	"sync"
	"time"
)

// window is how finely "in any second" is resolved: counts per millisecond.
const window = 1000

// Meter counts the requests to one vendor. The zero value is ready. All methods
// are safe for concurrent use.
type Meter struct {
	mu          sync.Mutex
	requests    uint64
	accepted    uint64
	refused     uint64
	connections uint64
	byReason    map[string]uint64

	// The last second, a slot per millisecond: sum is always the number of
	// requests in the window ms that end at last.
	slots [window]uint32
	last  int64
	sum   uint32
	max   uint32
}

// Snapshot is what a Meter shows, in the words of GET /sim/stats.
type Snapshot struct {
	Requests     uint64            `json:"requests"`
	Accepted     uint64            `json:"accepted"`
	Refused      uint64            `json:"refused"`
	ByReason     map[string]uint64 `json:"by_reason"`
	Connections  uint64            `json:"connections"`
	MaxPerSecond uint32            `json:"max_per_second"`
}

// Arrived counts a request whose headers arrived at t.
func (m *Meter) Arrived(t time.Time) {
	now := t.UnixMilli()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if now > m.last {
		m.advance(now)
	}
	m.slots[m.last%window]++ // a late t counts into the newest millisecond
	m.sum++
	m.max = max(m.max, m.sum)
}

// advance empties the slots of the milliseconds that passed, which at the same
// time leave the window.
func (m *Meter) advance(now int64) {
	for range min(now-m.last, window) {
		m.last++
		slot := &m.slots[m.last%window]
		m.sum -= *slot
		*slot = 0
	}
	m.last = now
}

// Accepted counts a request that was answered with success.
func (m *Meter) Accepted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepted++
}

// Refused counts a request that was answered with an error.
func (m *Meter) Refused(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused++
	if m.byReason == nil {
		m.byReason = map[string]uint64{}
	}
	m.byReason[reason]++
}

// Connected counts a connection.
func (m *Meter) Connected() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connections++
}

// Snapshot returns the counts so far.
func (m *Meter) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	reasons := maps.Clone(m.byReason)
	if reasons == nil {
		reasons = map[string]uint64{}
	}
	return Snapshot{m.requests, m.accepted, m.refused, reasons, m.connections, m.max}
}

// Reset sets all counts to zero. Connections that are open are not counted again.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests, m.accepted, m.refused, m.connections, m.byReason = 0, 0, 0, 0, nil
	m.slots, m.last, m.sum, m.max = [window]uint32{}, 0, 0, 0
}
