package gateway

import (
	"fmt"

	"github.com/diaphone-dev/diaphone"
)

// Apps is the directory of tenants. It never changes once built, so it needs no
// lock.
type Apps struct {
	byID    map[diaphone.AppID]*diaphone.App
	byKey   map[string]*diaphone.App
	byToken map[diaphone.TokenHash]holder
	ordered []*diaphone.App
}

// holder is whoever has a bearer token.
type holder struct {
	app   *diaphone.App
	token *diaphone.AccessToken
}

// NewApps indexes the apps. Two apps must not share an id, a key or a token.
func NewApps(apps []diaphone.App) (*Apps, error) {
	d := &Apps{
		byID:    make(map[diaphone.AppID]*diaphone.App),
		byKey:   make(map[string]*diaphone.App),
		byToken: make(map[diaphone.TokenHash]holder),
	}
	owners := map[string]*diaphone.App{} // of all keys, also those out of use
	for i := range apps {
		a := &apps[i]
		if d.byID[a.ID] != nil {
			return nil, fmt.Errorf("two apps have the id %q", a.ID)
		}
		d.byID[a.ID] = a
		d.ordered = append(d.ordered, a)
		for _, k := range a.Keys {
			if other := owners[k.Key]; other != nil {
				return nil, fmt.Errorf("apps %q and %q share the key %q", other.ID, a.ID, k.Key)
			}
			owners[k.Key] = a
			if !k.Disabled {
				d.byKey[k.Key] = a
			}
		}
		for i := range a.Tokens {
			t := &a.Tokens[i]
			if other := d.byToken[t.Hash].app; other != nil {
				return nil, fmt.Errorf("apps %q and %q share a bearer token", other.ID, a.ID)
			}
			d.byToken[t.Hash] = holder{a, t}
		}
	}
	return d, nil
}

// ByID gives an app, or nil.
func (d *Apps) ByID(id diaphone.AppID) *diaphone.App { return d.byID[id] }

// ByKey gives the app that owns a public key of the Pusher protocol, or nil; nil
// also for a key that is disabled.
func (d *Apps) ByKey(key string) *diaphone.App { return d.byKey[key] }

// ByToken gives the app that a bearer token of the native API belongs to, and what is
// known of the token, or nil. The look-up is by SHA-256, so its timing tells nothing of
// the token.
func (d *Apps) ByToken(token string) (*diaphone.App, *diaphone.AccessToken) {
	h := d.byToken[diaphone.HashToken(token)]
	return h.app, h.token
}

// All gives the apps in the order of their declaration.
func (d *Apps) All() []*diaphone.App { return d.ordered }
