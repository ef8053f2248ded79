package phone

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Errors that Fleet returns, wrapped with the name of the phone.
var (
	ErrConflict = errors.New("another phone has this name")
	ErrUnknown  = errors.New("no such phone")
)

// Kind tells the tokens of one phone apart.
type Kind int

// The kinds. Apple issues PushKit tokens separately, for other topics.
const (
	Notifications Kind = iota // APNs device token, FCM registration token, secret of an endpoint
	PushKit                   // token for voip, complication and file provider pushes
)

type owner struct {
	phone *Phone
	kind  Kind
}

// Fleet is all phones of one simulator. All methods are safe for concurrent use.
type Fleet struct {
	inbox *Inbox

	mu      sync.RWMutex
	byName  map[string]*Phone
	byToken map[string]owner
	order   []*Phone // as added
}

// NewFleet returns an empty fleet whose phones share inbox.
func NewFleet(inbox *Inbox) *Fleet {
	return &Fleet{inbox: inbox, byName: map[string]*Phone{}, byToken: map[string]owner{}}
}

// Inbox returns the inbox that all phones share.
func (f *Fleet) Inbox() *Inbox { return f.inbox }

// Add adds the phones, online, or returns those that are there already with an
// equal spec. Of several either all are added or, with ErrConflict, none.
func (f *Fleet) Add(specs ...Spec) ([]*Phone, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := map[string]Spec{}
	for _, s := range specs {
		have, known := fresh[s.Name]
		if p := f.byName[s.Name]; p != nil {
			have, known = p.Spec, true
		}
		if known && have != s {
			return nil, fmt.Errorf("%w: %q is %s", ErrConflict, s.Name, have.describe())
		}
		fresh[s.Name] = s
	}
	out := make([]*Phone, len(specs))
	for i, s := range specs {
		out[i] = f.byName[s.Name]
		if out[i] == nil {
			out[i] = f.add(s)
		}
	}
	return out, nil
}

func (s Spec) describe() string {
	switch s.Platform {
	case IOS:
		return fmt.Sprintf("ios (%s, topic %s)", s.Environment, s.Topic)
	case Web:
		return fmt.Sprintf("web (vapid_key %s)", s.VAPIDKey)
	case Android:
	}
	return fmt.Sprintf("android (project %s)", s.ProjectID)
}

func (f *Fleet) add(s Spec) *Phone {
	p := &Phone{Spec: s, inbox: f.inbox, state: Online, since: time.Now()}
	switch s.Platform {
	case IOS:
		p.Token, p.VoIPToken = apnsToken("ios", s.Name), apnsToken("ios voip", s.Name)
		f.byToken[p.VoIPToken] = owner{p, PushKit}
	case Android:
		p.Token = fcmToken(s.Name)
	case Web:
		p.Token, p.Browser = webToken(s.Name), newBrowser(s.Name)
	}
	f.byToken[p.Token] = owner{p, Notifications}
	f.byName[s.Name] = p
	f.order = append(f.order, p)
	return p
}

// All returns the phones in the order they were added.
func (f *Fleet) All() []*Phone {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Clone(f.order)
}

// Named returns the phone of that name, or ErrUnknown.
func (f *Fleet) Named(name string) (*Phone, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if p := f.byName[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
}

// Find returns the phone that a token was issued to, or nil.
func (f *Fleet) Find(token string) (*Phone, Kind) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	o := f.byToken[token]
	return o.phone, o.kind
}

// Remove forgets a phone and its tokens, as if they had never been issued. What
// it received stays in the inbox.
func (f *Fleet) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.byName[name]
	if p == nil {
		return fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	delete(f.byName, name)
	delete(f.byToken, p.Token)
	delete(f.byToken, p.VoIPToken)
	f.order = slices.DeleteFunc(f.order, func(q *Phone) bool { return q == p })
	return nil
}
