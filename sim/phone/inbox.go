package phone

import (
	"sync"
	"time"
)

// Default bounds of an inbox.
const (
	DefaultEntries = 256 << 10
	DefaultBytes   = 256 << 20
)

// entryOverhead is about what an entry costs beside its payload and headers.
const entryOverhead = 256

// Entry is one push that reached a phone.
type Entry struct {
	Device    string
	Provider  string
	Received  time.Time // when the request's headers arrived at the vendor
	Delivered time.Time // when the phone came online for it; zero if it was online
	Headers   []Header
	Payload   []byte
}

func (e *Entry) size() int {
	n := entryOverhead + len(e.Payload)
	for _, h := range e.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// Inbox is a ring of what all phones received. It is bounded both in entries and
// in bytes: the oldest make room. It grows as it fills, so that a small simulator
// stays small.
type Inbox struct {
	maxEntries, maxBytes int

	mu    sync.Mutex
	ring  []Entry
	head  int // index of the oldest
	n     int
	bytes int
}

// NewInbox returns an empty inbox with these bounds, or the defaults for zero.
func NewInbox(maxEntries, maxBytes int) *Inbox {
	if maxEntries <= 0 {
		maxEntries = DefaultEntries
	}
	if maxBytes <= 0 {
		maxBytes = DefaultBytes
	}
	return &Inbox{maxEntries: maxEntries, maxBytes: maxBytes}
}

func (b *Inbox) add(device string, m Push, delivered time.Time) {
	e := Entry{
		Device: device, Provider: m.Provider, Received: m.Received,
		Delivered: delivered, Headers: m.Headers, Payload: m.Payload,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.append(e)
}

func (b *Inbox) append(e Entry) {
	size := e.size()
	for b.n > 0 && (b.n == b.maxEntries || b.bytes+size > b.maxBytes) {
		b.dropOldest()
	}
	if b.n == len(b.ring) {
		b.grow()
	}
	b.ring[(b.head+b.n)%len(b.ring)] = e
	b.n++
	b.bytes += size
}

func (b *Inbox) dropOldest() {
	b.bytes -= b.ring[b.head].size()
	b.ring[b.head] = Entry{} // let go of the payload
	b.head = (b.head + 1) % len(b.ring)
	b.n--
}

func (b *Inbox) grow() {
	bigger := make([]Entry, min(max(2*len(b.ring), 64), b.maxEntries))
	n := copy(bigger, b.ring[b.head:])
	copy(bigger[n:], b.ring[:b.head])
	b.ring, b.head = bigger, 0
}

// Newest returns up to limit entries, the newest first, of one device or, with
// an empty name, of all.
func (b *Inbox) Newest(device string, limit int) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Entry, 0, min(limit, b.n))
	for i := b.n - 1; i >= 0 && len(out) < limit; i-- {
		e := &b.ring[(b.head+i)%len(b.ring)]
		if device == "" || e.Device == device {
			out = append(out, *e)
		}
	}
	return out
}

// Clear forgets the entries of one device or, with an empty name, all.
func (b *Inbox) Clear(device string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ring, head, n := b.ring, b.head, b.n
	b.ring, b.head, b.n, b.bytes = nil, 0, 0, 0
	if device == "" {
		return
	}
	for i := range n {
		if e := ring[(head+i)%len(ring)]; e.Device != device {
			b.append(e)
		}
	}
}
