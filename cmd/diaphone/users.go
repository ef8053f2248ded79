package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

type usersCmd struct {
	Get        usersGetCmd        `cmd:"" help:"Show whether a user is live, and how."`
	Disconnect usersDisconnectCmd `cmd:"" help:"End all connections that are signed in as a user."`
	Erase      usersEraseCmd      `cmd:"" help:"Delete all devices of a user, and end all connections."`
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

type usersEraseCmd struct {
	server
	jsonFlag
	Yes bool   `help:"Do it. Without this only the devices are listed." env:"-"`
	ID  string `arg:"" help:"Id of the user."`
}

// Run erases a user, once it is said that this is meant.
func (e *usersEraseCmd) Run(c *console) error {
	if err := needed("user id", e.ID); err != nil {
		return err
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	if !e.Yes {
		devices, err := collect(c, api.AllDevices(c.ctx, diaphone.UserID(e.ID)), math.MaxInt)
		if err != nil {
			return err
		}
		if e.JSON {
			err = c.json(devices)
		} else {
			err = printDevices(c, devices)
		}
		if err != nil {
			return err
		}
		return usagef("%d devices would be deleted, and that cannot be undone: give --yes", len(devices))
	}
	done, err := api.EraseUser(c.ctx, diaphone.UserID(e.ID))
	if err != nil {
		return err
	}
	if e.JSON {
		return c.json(done)
	}
	_, err = fmt.Fprintf(c.out, "%s: %d devices deleted, %d connections ended\n", printable(e.ID), done.Devices, done.Connections)
	return err
}
