// Package phone is the device model that all simulated vendors share: phones
// with a token, a state (online, offline, uninstalled), the messages a vendor
// holds for them while they are offline, and one bounded inbox of what they
// received. It knows nothing of HTTP; the vendors' packages decide what is a
// valid request and hand over what a phone would get.
package phone

import (
	"sync"
	"time"
)

// Platform says whose service reaches a phone: APNs for iOS, FCM for Android, a
// push service for a browser.
type Platform string

// The platforms.
const (
	IOS     Platform = "ios"
	Android Platform = "android"
	Web     Platform = "web"
)

// State is where a phone is in its life.
type State string

// The states. An uninstalled app can come back by going online again, with the
// same token, which real vendors would renew.
const (
	Online      State = "online"
	Offline     State = "offline"
	Uninstalled State = "uninstalled"
)

// Environment is the half of APNs that issued a token. Tokens of one half mean
// nothing to the other.
type Environment string

// The environments of APNs.
const (
	Production Environment = "production"
	Sandbox    Environment = "sandbox"
)

// Spec is what is fixed about a phone when it is added: one installation of one
// app.
type Spec struct {
	Name        string
	Platform    Platform
	Environment Environment // iOS only
	Topic       string      // iOS only: bundle id of the app
	ProjectID   string      // Android only: the Firebase project the token belongs to
	VAPIDKey    string      // Web only: the sender's public key that the page subscribed with, base64url
}

// Header is one request header as the vendor saw it.
type Header struct{ Name, Value string }

// Push is one accepted request on its way to a phone.
type Push struct {
	Provider string
	Received time.Time // when the request's headers arrived
	Expires  time.Time // not after Received: now or never
	Topic    string    // APNs: what the one-notification store is keyed by
	Collapse string    // FCM: collapse key; Web Push: topic
	Headers  []Header
	Payload  []byte // owned by the push from here on
}

// Fate is what became of a push.
type Fate int

// The fates. Vendors answer 200 to the first three alike.
const (
	Delivered Fate = iota // in the inbox
	Stored                // kept until the phone is online or the push expires
	Dropped               // the phone is offline and the push may not wait
	Gone                  // the app is uninstalled
)

// Phone is one simulated device. All methods are safe for concurrent use.
type Phone struct {
	Spec
	Token     string
	VoIPToken string   // iOS only: PushKit hands out a second token
	Browser   *Browser // Web only

	inbox *Inbox

	mu     sync.Mutex
	state  State
	since  time.Time
	stored backlog
}

// State returns the present state and since when it holds.
func (p *Phone) State() (State, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.since
}

// SetState moves the phone. Coming online delivers what the vendor kept and has
// not expired; uninstalling forgets it. Setting the present state again changes
// nothing, so an uninstall keeps its first time.
func (p *Phone) SetState(s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == p.state {
		return
	}
	now := time.Now()
	p.state, p.since = s, now
	switch s {
	case Online:
		for _, m := range p.stored.release(now) {
			p.inbox.add(p.Name, m, now)
		}
	case Uninstalled:
		p.stored = backlog{}
	case Offline:
	}
}

// Receive takes a push that the vendor accepted.
func (p *Phone) Receive(m Push) Fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case Online:
		p.inbox.add(p.Name, m, time.Time{})
		return Delivered
	case Uninstalled:
		return Gone
	case Offline:
	}
	if !m.Expires.After(time.Now()) {
		return Dropped
	}
	switch p.Platform {
	case IOS:
		p.stored.keepNewest(m)
	case Android:
		p.stored.keepHundred(m)
	case Web:
		p.stored.keepTopics(m)
	}
	return Stored
}
