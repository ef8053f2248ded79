package rest

import (
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/hub"
)

func (d *Door) user(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, userOut(id, d.gateway.User(c.app.ID, id)))
}

func userOut(id diaphone.UserID, u hub.UserInfo) wire.User {
	return wire.User{ID: id, Live: u.SignedIn > 0 || u.Present > 0, Connections: u.SignedIn, PresenceChannels: u.Present}
}

func (d *Door) disconnectUser(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.Disconnected{Connections: d.gateway.Disconnect(c.app.ID, id)})
}

func (d *Door) eraseUser(c *call) error {
	id, err := c.userID()
	if err != nil {
		return err
	}
	e, err := d.gateway.EraseUser(c.ctx(), c.app.ID, id)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.Erased{Devices: e.Devices, Connections: e.Connections})
}

// userID reads and checks the path parameter.
func (c *call) userID() (diaphone.UserID, error) {
	v, err := c.param("user_id")
	if err != nil {
		return "", err
	}
	id := diaphone.UserID(v)
	return id, at("/user_id", id.Validate())
}
