package rest

import (
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// pastEvents lists what a channel has had since a position.
func (d *Door) pastEvents(c *call) error {
	channel, err := c.channelName()
	if err != nil {
		return err
	}
	since, err := diaphone.ParsePosition(c.query.Get("since"))
	if err := at("/since", err); err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	past, err := d.gateway.Past(c.app, channel, since, p.Limit)
	if err != nil {
		return err
	}
	out := wire.Past{Data: make([]wire.PastEvent, len(past.Events)), Position: past.Position.String(), Complete: past.Complete}
	for i, e := range past.Events {
		out.Data[i] = wire.PastEvent{Name: e.Event.Name, Data: e.Event.Data, Position: e.Event.Position.String(), PublishedAt: wire.At(e.At)}
	}
	return c.reply(http.StatusOK, out)
}
