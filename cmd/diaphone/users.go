package main

import (
	"fmt"
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

type usersCmd struct {
	Get        usersGetCmd        `cmd:"" help:"Show whether a user is live, and how."`
	Disconnect usersDisconnectCmd `cmd:"" help:"End all connections that are signed in as a user."`
}

type usersGetCmd struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the user."`
}

// Run shows one user. Nobody is unknown: who is not live has no connections.
func (g *usersGetCmd) Run(c *console) error {
	if err := needed("user id", g.ID); err != nil {
		return err
	}
	api, err := g.client()
	if err != nil {
		return err
	}
	u, err := api.User(c.ctx, diaphone.UserID(g.ID))
	if err != nil {
		return err
	}
	if g.JSON {
		return c.json(u)
	}
	live := "no"
	if u.Live {
		live = "yes"
	}
	return c.table("USER LIVE CONNECTIONS PRESENCE-CHANNELS", [][]string{{
		string(u.ID), live, strconv.Itoa(u.Connections), strconv.Itoa(u.PresenceChannels),
	}})
}

type usersDisconnectCmd struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the user."`
}

// Run ends the connections of a user.
func (d *usersDisconnectCmd) Run(c *console) error {
	if err := needed("user id", d.ID); err != nil {
		return err
	}
	api, err := d.client()
	if err != nil {
		return err
	}
	n, err := api.Disconnect(c.ctx, diaphone.UserID(d.ID))
	if err != nil {
		return err
	}
	if d.JSON {
		return c.json(wire.Disconnected{Connections: n})
	}
	_, err = fmt.Fprintf(c.out, "%s: %d disconnected\n", printable(d.ID), n)
	return err
}
