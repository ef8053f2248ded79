package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

type publishCmd struct {
	server
	jsonFlag
	Channel      string `arg:"" help:"Channel to publish to."`
	Event        string `arg:"" help:"Name of the event."`
	Data         string `arg:"" optional:"" help:"Data: JSON, or any text; - reads it from standard input." default:"{}"`
	ExceptSocket string `help:"Socket that does not get it, usually the sender's." placeholder:"ID" env:"-"`
}

// Run publishes one event. It is for those who listen now: an event alone is
// never stored.
func (p *publishCmd) Run(c *console) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	data := []byte(p.Data)
	if p.Data == "-" {
		if data, err = io.ReadAll(io.LimitReader(c.in, 1<<20)); err != nil {
			return fmt.Errorf("read the data from standard input: %w", err)
		}
	}
	if !json.Valid(data) {
		if data, err = json.Marshal(string(data)); err != nil {
			return err
		}
	}
	m := wire.NewMessage{
		To:    wire.Audience{Channels: []diaphone.ChannelName{diaphone.ChannelName(p.Channel)}},
		Event: &wire.Event{Name: p.Event, Data: data, ExceptSocket: diaphone.SocketID(p.ExceptSocket)},
	}
	published, err := api.Publish(c.ctx, m, "")
	if err != nil {
		return err
	}
	if p.JSON {
		return c.json(published)
	}
	_, err = fmt.Fprintf(c.out, "%s published\n", published.ID)
	return err
}
