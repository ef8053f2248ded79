package main

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/diaphone-dev/diaphone"
)

type channelsCmd struct {
	Ls      channelsLsCmd      `cmd:"" help:"List the channels that somebody listens to."`
	Get     channelsGetCmd     `cmd:"" help:"Show one channel: who listens, what is kept of it."`
	Members channelsMembersCmd `cmd:"" help:"List who is in a presence channel."`
}

type channelsLsCmd struct {
	server
	jsonFlag
	Prefix string `arg:"" optional:"" help:"Only channels whose names begin with it, for example presence-."`
	Limit  int    `help:"List at most so many." default:"1000" env:"-"`
}

// Run lists channels, page by page.
func (l *channelsLsCmd) Run(c *console) error {
	api, err := l.client()
	if err != nil {
		return err
	}
	all, err := collect(c, api.AllChannels(c.ctx, l.Prefix), l.Limit)
	if err != nil {
		return err
	}
	if l.JSON {
		return c.json(all)
	}
	rows := make([][]string, len(all))
	for i, ch := range all {
		rows[i] = []string{string(ch.Name), string(ch.Kind), strconv.Itoa(ch.Subscribers), number(ch.Members)}
	}
	return c.table("CHANNEL KIND SUBSCRIBERS MEMBERS", rows)
}

type channelsGetCmd struct {
	server
	jsonFlag
	Channel string `arg:"" help:"Name of the channel."`
}

// Run shows one channel. Nobody listening is an answer, not a failure.
func (g *channelsGetCmd) Run(c *console) error {
	if err := needed("channel", g.Channel); err != nil {
		return err
	}
	api, err := g.client()
	if err != nil {
		return err
	}
	ch, err := api.Channel(c.ctx, diaphone.ChannelName(g.Channel))
	if err != nil {
		return err
	}
	if g.JSON {
		return c.json(ch)
	}
	cached, history := "", ""
	if e := ch.CachedEvent; e != nil {
		cached = fmt.Sprintf("%s for %s", e.Name, time.Duration(e.TTL)*time.Second)
	}
	if h := ch.History; h != nil {
		history = fmt.Sprintf("%d events for %s, at %s", h.Events, time.Duration(h.For)*time.Second, h.Position)
	}
	return c.table("CHANNEL KIND SUBSCRIBERS MEMBERS CACHED HISTORY", [][]string{{
		string(ch.Name), string(ch.Kind), strconv.Itoa(ch.Subscribers), number(ch.Members), cached, history,
	}})
}

type channelsMembersCmd struct {
	server
	jsonFlag
	Channel string `arg:"" help:"Name of the presence channel."`
	Limit   int    `help:"List at most so many." default:"1000" env:"-"`
}

// Run lists members, page by page.
func (m *channelsMembersCmd) Run(c *console) error {
	if err := needed("channel", m.Channel); err != nil {
		return err
	}
	api, err := m.client()
	if err != nil {
		return err
	}
	all, err := collect(c, api.AllMembers(c.ctx, diaphone.ChannelName(m.Channel)), m.Limit)
	if err != nil {
		return err
	}
	if m.JSON {
		return c.json(all)
	}
	rows := make([][]string, len(all))
	for i, member := range all {
		rows[i] = []string{string(member.UserID), string(member.Info)}
	}
	return c.table("USER INFO", rows)
}

// number is empty where there is none to tell.
func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// needed refuses an empty argument: it would be lost in a path.
func needed(what, value string) error {
	if value == "" {
		return usagef("the %s is empty", what)
	}
	return nil
}

// collect takes the first items of a list, and says so when there are more.
func collect[T any](c *console, items iter.Seq2[T, error], limit int) ([]T, error) {
	if limit < 1 {
		return nil, usagef("--limit %d: at least 1", limit)
	}
	all := []T{}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		if len(all) == limit {
			c.note("there are more; ask for them with --limit")
			break
		}
		all = append(all, item)
	}
	return all, nil
}
