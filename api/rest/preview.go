package rest

import (
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// preview answers how the message would be sent.
func (d *Door) preview(c *call, m *diaphone.Message) error {
	previews, err := d.gateway.Preview(m)
	if err != nil {
		return err
	}
	out := wire.Preview{Event: m.Event != nil, Notifications: make([]wire.NotificationPreview, len(previews))}
	for i, p := range previews {
		n := wire.NotificationPreview{
			Credential: p.Credential, Provider: p.Provider, Headers: p.Rendered.Header,
			Payload: string(p.Rendered.Payload), Size: len(p.Rendered.Payload), Limit: p.Rendered.Limit,
			Warnings: make([]wire.FieldError, len(p.Warnings)),
		}
		for j, w := range p.Warnings {
			n.Warnings[j] = wire.FieldError(w)
		}
		if n.Headers == nil {
			n.Headers = map[string]string{}
		}
		out.Notifications[i] = n
	}
	return c.reply(http.StatusOK, out)
}
