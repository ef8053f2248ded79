package gateway

import (
	"errors"
	"fmt"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
)

// Preview is a message as one of the app's credentials would send it.
type Preview struct {
	Credential string
	Provider   diaphone.ProviderName
	Rendered   providers.Rendered
	Warnings   []diaphone.FieldError // what is allowed, and hardly meant
}

// Preview renders a message of m.App as Publish would send it now, and neither stores
// nor sends it. It refuses what Publish would refuse. Ids, which a message has only
// once it is accepted, are zeros of the same length.
func (g *Gateway) Preview(m *diaphone.Message) ([]Preview, error) {
	app, err := g.check(m)
	if err != nil {
		return nil, err
	}
	rendered, err := g.render(app, m)
	if err != nil {
		return nil, err
	}
	previews := make([]Preview, len(rendered))
	for i, r := range rendered {
		c := &app.Credentials[i]
		previews[i] = Preview{Credential: c.Name, Provider: c.Provider, Rendered: r, Warnings: warnings(m, c.Provider, &r)}
	}
	return previews, nil
}

// render gives the notification as each of the app's credentials would send it, in
// their order, or refuses one that a provider of the app could never carry. Without a
// notification there is nothing to render.
func (g *Gateway) render(app *diaphone.App, m *diaphone.Message) ([]providers.Rendered, error) {
	if m.Notification == nil {
		return nil, nil
	}
	if len(app.Credentials) == 0 {
		return nil, diaphone.InvalidField("/notification", "no_credential",
			"app %q has no push credentials: add apns, fcm or webpush to it, or publish an event only", app.ID)
	}
	all := make([]providers.Rendered, len(app.Credentials))
	refusal := &diaphone.Error{}
	told := map[diaphone.FieldError]bool{} // credentials of one provider find the same fault
	for i, c := range app.Credentials {
		var err error
		if all[i], err = g.parts.Providers[diaphone.Lane{App: app.ID, Credential: c.Name}].Render(m); err == nil {
			continue
		}
		var e *diaphone.Error
		if !errors.As(err, &e) {
			return nil, fmt.Errorf("render for %s: %w", c.Name, err)
		}
		if refusal.Code != diaphone.TooLarge {
			refusal.Code = e.Code
		}
		for _, f := range e.Fields {
			if !told[f] {
				told[f] = true
				refusal.Fields = append(refusal.Fields, f)
			}
		}
		refusal.Detail = e.Detail
	}
	if refusal.Code == "" {
		return all, nil
	}
	if len(refusal.Fields) > 1 {
		refusal.Detail = fmt.Sprintf("the notification has %d faults", len(refusal.Fields))
	}
	return nil, refusal
}
