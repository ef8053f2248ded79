package rest

import (
	"math"
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
)

// listChannels lists the channels that somebody listens to.
func (d *Door) listChannels(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	found, next, err := d.gateway.Channels(c.app, c.query.Get("prefix"), p)
	if err != nil {
		return err
	}
	out := wire.Page[wire.OccupiedChannel]{Data: make([]wire.OccupiedChannel, len(found)), NextCursor: next}
	for i, f := range found {
		out.Data[i] = wire.OccupiedChannel{Name: f.Name, Kind: f.Name.Kind(), Subscribers: f.Sessions, Members: membersOf(f.Name, f.Members)}
	}
	c.linkNext(next)
	return c.reply(http.StatusOK, out)
}

func (d *Door) channel(c *call) error {
	name, err := c.channelName()
	if err != nil {
		return err
	}
	found := d.gateway.Channel(c.app, name)
	return c.reply(http.StatusOK, channelOut(&found))
}

func channelOut(f *gateway.Channel) wire.Channel {
	out := wire.Channel{
		Name: f.Name, Kind: f.Name.Kind(), Cache: f.Name.IsCache(),
		Occupied: f.Sessions > 0, Subscribers: f.Sessions, Members: membersOf(f.Name, f.Members),
	}
	if e := f.Cached; e != nil {
		out.CachedEvent = &wire.CachedEvent{Name: e.Name, Data: e.Data, TTL: int(math.Ceil(f.CachedLeft.Seconds()))}
	}
	if h := f.History; h != nil {
		out.History = &wire.ChannelHistory{Events: h.Rule.Events, For: int(math.Ceil(h.Rule.For.Seconds())), Position: h.Position.String()}
	}
	return out
}

// membersOf leaves the number out where nobody counts members: 0 would be a claim.
func membersOf(c diaphone.ChannelName, n int) *int {
	if !c.IsPresence() {
		return nil
	}
	return &n
}

// members lists who is in a presence channel.
func (d *Door) members(c *call) error {
	name, err := c.channelName()
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	found, next, err := d.gateway.Members(c.app, name, p)
	if err != nil {
		return err
	}
	out := wire.Page[wire.Member]{Data: make([]wire.Member, len(found)), NextCursor: next}
	for i, m := range found {
		out.Data[i] = wire.Member{UserID: m.User, Info: m.Info}
	}
	c.linkNext(next)
	return c.reply(http.StatusOK, out)
}

func (c *call) channelName() (diaphone.ChannelName, error) { return strict.Channel(c) }
