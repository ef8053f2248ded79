package main

import (
	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

type historyCmd struct {
	server
	jsonFlag
	Channel string `arg:"" help:"Channel whose history the app keeps."`
	Since   string `help:"Only what came after this position; without it, all that is kept." placeholder:"POSITION" env:"-"`
	Limit   int    `help:"List at most so many, the oldest first." default:"1000" env:"-"`
}

// maxPage is the largest page of the API.
const maxPage = 1000

// Run lists past events, and says where to go on and whether some are missing.
func (h *historyCmd) Run(c *console) error {
	if err := needed("channel", h.Channel); err != nil {
		return err
	}
	if h.Limit < 1 {
		return usagef("--limit %d: at least 1", h.Limit)
	}
	past, err := h.read(c)
	if err != nil {
		return err
	}
	if h.JSON {
		return c.json(past)
	}
	rows := make([][]string, len(past.Data))
	for i, e := range past.Data {
		rows[i] = []string{e.Position, clock(e.PublishedAt.Time), e.Name, e.Data}
	}
	if err := c.table("POSITION PUBLISHED EVENT DATA", rows); err != nil {
		return err
	}
	if h.Since != "" && !past.Complete {
		c.note("events may be missing: the gateway keeps none from so far back")
	}
	c.note("to go on: --since %s", past.Position)
	return nil
}

// read joins the pages into one piece of the past.
func (h *historyCmd) read(c *console) (wire.Past, error) {
	all := wire.Past{Data: []wire.PastEvent{}, Complete: true}
	api, err := h.client()
	if err != nil {
		return all, err
	}
	for since := h.Since; len(all.Data) < h.Limit; since = all.Position {
		most := min(h.Limit-len(all.Data), maxPage)
		page, err := api.PastEvents(c.ctx, diaphone.ChannelName(h.Channel), since, most)
		if err != nil {
			return all, err
		}
		all.Data = append(all.Data, page.Data...)
		all.Position, all.Complete = page.Position, all.Complete && page.Complete
		if len(page.Data) < most {
			break
		}
	}
	return all, nil
}
