package webpush

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"sync"
	"time"
)

// Bounds on what real browsers can have kept for them.
const (
	maxBrowsers      = 1000 // the oldest that is away makes room
	maxSubscriptions = 1000 // of one browser
	maxWaiting       = 100  // messages of one browser
)

// subscription is one that a real browser has registered.
type subscription struct {
	browser  *browser
	channel  string
	vapidKey string // base64url; empty: any sender
	secret   string
}

// notice is a message on its way to a real browser, kept until it is acknowledged.
type notice struct {
	Type    string            `json:"messageType"`
	Channel string            `json:"channelID"`
	Version string            `json:"version"`
	Data    string            `json:"data,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`

	topic   string
	expires time.Time
}

// browser is a real browser, connected or away.
type browser struct {
	id      string
	byID    map[string]*subscription // by channel
	waiting []*notice
	link    *link // nil: away
}

// browsers are all real browsers of one push service.
type browsers struct {
	mu       sync.Mutex
	byID     map[string]*browser
	bySecret map[string]*subscription
	order    []*browser
}

func newBrowsers() *browsers {
	return &browsers{byID: map[string]*browser{}, bySecret: map[string]*subscription{}}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// find gives the subscription with the secret, or nil.
func (b *browsers) find(secret string) *subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bySecret[secret]
}

// hello connects a browser: the known one of that id, or a new one. What it has
// not acknowledged is sent again.
func (b *browsers) hello(id string, l *link) *browser {
	b.mu.Lock()
	defer b.mu.Unlock()
	who := b.byID[id]
	if who == nil {
		b.makeRoom()
		who = &browser{id: hex.EncodeToString(random(16)), byID: map[string]*subscription{}}
		b.byID[who.id] = who
		b.order = append(b.order, who)
	}
	if who.link != nil {
		who.link.close() // the same browser, and its old connection has not noticed
	}
	who.link = l
	return who
}

// resend sends what is waiting, once the browser has been greeted.
func (b *browsers) resend(who *browser, l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	who.waiting = slices.DeleteFunc(who.waiting, func(n *notice) bool { return !n.expires.After(now) })
	for _, n := range who.waiting {
		l.queue(n)
	}
}

func (b *browsers) makeRoom() {
	if len(b.order) < maxBrowsers {
		return
	}
	at := slices.IndexFunc(b.order, func(w *browser) bool { return w.link == nil })
	if at < 0 {
		return
	}
	for _, s := range b.order[at].byID {
		delete(b.bySecret, s.secret)
	}
	delete(b.byID, b.order[at].id)
	b.order = slices.Delete(b.order, at, at+1)
}

// leave marks a browser away, unless it has come back over another connection.
func (b *browsers) leave(who *browser, l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if who.link == l {
		who.link = nil
	}
}

// register gives a subscription for the channel; false: the browser has too many.
func (b *browsers) register(who *browser, channel, vapidKey string) (*subscription, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(who, channel)
	if len(who.byID) >= maxSubscriptions {
		return nil, false
	}
	s := &subscription{browser: who, channel: channel, vapidKey: vapidKey, secret: base64.RawURLEncoding.EncodeToString(random(48))}
	who.byID[channel], b.bySecret[s.secret] = s, s
	return s, true
}

func (b *browsers) unregister(who *browser, channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(who, channel)
}

func (b *browsers) drop(who *browser, channel string) {
	if s := who.byID[channel]; s != nil {
		delete(b.bySecret, s.secret)
		delete(who.byID, channel)
	}
}

// send hands a message to the browser, or keeps it until it is back; false: the
// subscription has ended meanwhile.
func (b *browsers) send(secret string, m *message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.bySecret[secret]
	if s == nil {
		return false
	}
	who := s.browser
	if who.link == nil && m.ttl == 0 {
		return true // now or never
	}
	n := &notice{Type: "notification", Channel: s.channel, Version: m.id, topic: m.topic, expires: m.received.Add(m.ttl)}
	if len(m.body) > 0 {
		n.Data = base64.RawURLEncoding.EncodeToString(m.body)
		n.Headers = map[string]string{"encoding": m.encoding}
	}
	if n.topic != "" {
		who.waiting = slices.DeleteFunc(who.waiting, func(old *notice) bool { return old.topic == n.topic && old.Channel == n.Channel })
	}
	if len(who.waiting) == maxWaiting {
		who.waiting = slices.Delete(who.waiting, 0, 1)
	}
	who.waiting = append(who.waiting, n)
	if who.link != nil {
		who.link.queue(n)
	}
	return true
}

// done forgets a message that the browser has taken, or given up.
func (b *browsers) done(who *browser, version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	who.waiting = slices.DeleteFunc(who.waiting, func(n *notice) bool { return n.Version == version })
}
