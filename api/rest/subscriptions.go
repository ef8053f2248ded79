package rest

import (
	"context"
	"net/http"

	"github.com/diaphone-dev/diaphone"
)

func (d *Door) subscribe(c *call) error { return changeSubscription(c, d.gateway.Subscribe) }

func (d *Door) unsubscribe(c *call) error { return changeSubscription(c, d.gateway.Unsubscribe) }

func changeSubscription(c *call, change func(context.Context, diaphone.AppID, diaphone.DeviceID, diaphone.ChannelName) error) error {
	id, err := c.deviceID()
	if err != nil {
		return err
	}
	channel, err := c.channelName()
	if err != nil {
		return err
	}
	if err := change(c.ctx(), c.app.ID, id, channel); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
