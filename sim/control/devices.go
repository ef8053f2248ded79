package control

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone/sim/phone"
)

const maxName = 100

// newDevice is what POST /sim/devices takes. Only name and platform are needed.
type newDevice struct {
	Name        string `json:"name"`
	Platform    string `json:"platform"`
	Environment string `json:"environment"` // ios
	Topic       string `json:"topic"`       // ios
	ProjectID   string `json:"project_id"`  // android
	VAPIDKey    string `json:"vapid_key"`   // web
}

// subscription is what the page of a browser would send to its backend.
type subscription struct {
	Endpoint string            `json:"endpoint"`
	Keys     map[string]string `json:"keys"`
}

// device is what the API tells about a phone.
type device struct {
	Name         string        `json:"name"`
	Platform     string        `json:"platform"`
	Token        string        `json:"token,omitempty"`
	VoIPToken    string        `json:"voip_token,omitempty"`
	Subscription *subscription `json:"subscription,omitempty"`
	State        string        `json:"state"`
	Since        time.Time     `json:"since"`
	Environment  string        `json:"environment,omitempty"`
	Topic        string        `json:"topic,omitempty"`
	ProjectID    string        `json:"project_id,omitempty"`
	VAPIDKey     string        `json:"vapid_key,omitempty"`
	Uninstalled  *time.Time    `json:"uninstalled_at,omitempty"`
}

func (a *api) describe(p *phone.Phone) device {
	state, since := p.State()
	d := device{
		Name: p.Name, Platform: string(p.Platform), Token: p.Token, VoIPToken: p.VoIPToken,
		State: string(state), Since: since.UTC(),
		Environment: string(p.Environment), Topic: p.Topic, ProjectID: p.ProjectID,
		VAPIDKey: p.VAPIDKey,
	}
	if p.Browser != nil {
		p256dh, auth := p.Browser.Keys()
		d.Token, d.Subscription = "", &subscription{a.Endpoint(p.Token), map[string]string{"p256dh": p256dh, "auth": auth}}
	}
	if state == phone.Uninstalled {
		d.Uninstalled = &d.Since
	}
	return d
}

func (a *api) describeAll(phones []*phone.Phone) list[device] {
	out := list[device]{Data: make([]device, len(phones))}
	for i, p := range phones {
		out.Data[i] = a.describe(p)
	}
	return out
}

func (a *api) getDevices(*http.Request) (any, error) {
	return a.describeAll(a.Fleet.All()), nil
}

func (a *api) getDevice(r *http.Request) (any, error) {
	p, err := a.named(r)
	if err != nil {
		return nil, err
	}
	return a.describe(p), nil
}

// postDevices adds one phone or several, all or none.
func (a *api) postDevices(r *http.Request) (any, error) {
	items, one, err := decodeOneOrMany[newDevice](r)
	if err != nil {
		return nil, err
	}
	specs := make([]phone.Spec, len(items))
	for i, d := range items {
		if specs[i], err = a.spec(d); err != nil {
			return nil, err
		}
	}
	phones, err := a.Fleet.Add(specs...)
	if errors.Is(err, phone.ErrConflict) {
		return nil, &failure{http.StatusConflict, err.Error() + "; choose another name or DELETE /sim/devices/{name} first"}
	}
	if err != nil {
		return nil, err
	}
	if one {
		return a.describe(phones[0]), nil
	}
	return a.describeAll(phones), nil
}

// spec checks a new device and fills in the defaults of its platform.
func (a *api) spec(d newDevice) (phone.Spec, error) {
	if !isName(d.Name) {
		return phone.Spec{}, invalid("name: must be 1 to %d letters, digits or . _ - @ :, not %q", maxName, d.Name)
	}
	s := phone.Spec{Name: d.Name, Platform: phone.Platform(d.Platform)}
	switch s.Platform {
	case phone.IOS:
		if d.ProjectID != "" || d.VAPIDKey != "" {
			return s, invalid("project_id and vapid_key: %q is an iPhone, which has none; leave them out", d.Name)
		}
		s.Environment = phone.Environment(orFirst(d.Environment, []string{string(phone.Production)}))
		s.Topic = orFirst(d.Topic, a.Topics)
		if s.Environment != phone.Production && s.Environment != phone.Sandbox {
			return s, invalid("environment: must be %q or %q, not %q", phone.Production, phone.Sandbox, d.Environment)
		}
	case phone.Android:
		if d.Environment != "" || d.Topic != "" || d.VAPIDKey != "" {
			return s, invalid("environment, topic and vapid_key: %q is an Android phone, which has none; leave them out", d.Name)
		}
		s.ProjectID = orFirst(d.ProjectID, a.Projects)
		if !slices.Contains(a.Projects, s.ProjectID) {
			return s, invalid("project_id: must be one of %s, not %q", strings.Join(a.Projects, ", "), d.ProjectID)
		}
	case phone.Web:
		if d.Environment != "" || d.Topic != "" || d.ProjectID != "" {
			return s, invalid("environment, topic and project_id: %q is a browser, which has none; leave them out", d.Name)
		}
		s.VAPIDKey = orFirst(d.VAPIDKey, []string{a.VAPIDKey})
	default:
		return s, invalid("platform: must be %q, %q or %q, not %q", phone.IOS, phone.Android, phone.Web, d.Platform)
	}
	return s, nil
}

func orFirst(given string, otherwise []string) string {
	if given == "" {
		return otherwise[0]
	}
	return given
}

func isName(s string) bool {
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("._-@:", c):
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxName && strings.Trim(s, ".") != "" // ".." would be cleaned out of the path
}

func (a *api) named(r *http.Request) (*phone.Phone, error) {
	p, err := a.Fleet.Named(r.PathValue("name"))
	if err != nil {
		return nil, &failure{http.StatusNotFound, err.Error() + "; GET /sim/devices lists them"}
	}
	return p, nil
}

func (a *api) patchDevice(r *http.Request) (any, error) {
	p, err := a.named(r)
	if err != nil {
		return nil, err
	}
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var change struct {
		State string `json:"state"`
	}
	if err := decode(raw, &change); err != nil {
		return nil, err
	}
	switch s := phone.State(change.State); s {
	case phone.Online, phone.Offline, phone.Uninstalled:
		p.SetState(s)
	default:
		return nil, invalid("state: must be %q, %q or %q, not %q", phone.Online, phone.Offline, phone.Uninstalled, change.State)
	}
	return a.describe(p), nil
}

func (a *api) deleteDevice(r *http.Request) (any, error) {
	p, err := a.named(r)
	if err != nil {
		return nil, err
	}
	if err := a.Fleet.Remove(p.Name); err != nil {
		return nil, &failure{http.StatusNotFound, err.Error()}
	}
	return nil, nil
}
