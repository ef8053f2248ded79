package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// Channels gives a page of the channels that somebody listens to, in the order of
// their names: those that begin with the prefix (empty: all).
func (c *Client) Channels(ctx context.Context, prefix string, o PageOptions) (wire.Page[wire.OccupiedChannel], error) {
	q := o.query()
	if prefix != "" {
		q.Set("prefix", prefix)
	}
	var p wire.Page[wire.OccupiedChannel]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/channels", query: q}, &p)
	return p, err
}

// AllChannels walks through all pages. It ends after the first error.
func (c *Client) AllChannels(ctx context.Context, prefix string) iter.Seq2[wire.OccupiedChannel, error] {
	return all(func(o PageOptions) (wire.Page[wire.OccupiedChannel], error) { return c.Channels(ctx, prefix, o) })
}

// Channel looks at one channel, whether or not somebody listens to it.
func (c *Client) Channel(ctx context.Context, name diaphone.ChannelName) (wire.Channel, error) {
	var found wire.Channel
	_, err := c.do(ctx, request{method: http.MethodGet, path: livePath(name)}, &found)
	return found, err
}

// Members gives a page of those who are in a presence channel, in the order of their ids.
func (c *Client) Members(ctx context.Context, name diaphone.ChannelName, o PageOptions) (wire.Page[wire.Member], error) {
	var p wire.Page[wire.Member]
	_, err := c.do(ctx, request{method: http.MethodGet, path: livePath(name) + "/members", query: o.query()}, &p)
	return p, err
}

// AllMembers walks through all pages. It ends after the first error.
func (c *Client) AllMembers(ctx context.Context, name diaphone.ChannelName) iter.Seq2[wire.Member, error] {
	return all(func(o PageOptions) (wire.Page[wire.Member], error) { return c.Members(ctx, name, o) })
}

// PastEvents gives what a channel has had after a position (empty: all that is kept),
// oldest first, at most limit events (1 to 1000; 0: the gateway's default, 100). There
// may be more when there are as many: ask again from the answer's Position.
func (c *Client) PastEvents(ctx context.Context, name diaphone.ChannelName, since string, limit int) (wire.Past, error) {
	q := url.Values{}
	if since != "" {
		q.Set("since", since)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var p wire.Past
	_, err := c.do(ctx, request{method: http.MethodGet, path: livePath(name) + "/events", query: q}, &p)
	return p, err
}

// User tells how a user is live at this moment.
func (c *Client) User(ctx context.Context, id diaphone.UserID) (wire.User, error) {
	var u wire.User
	_, err := c.do(ctx, request{method: http.MethodGet, path: userPath(id)}, &u)
	return u, err
}

// Disconnect ends every connection that is signed in as the user, and tells how many
// there were.
func (c *Client) Disconnect(ctx context.Context, id diaphone.UserID) (connections int, err error) {
	var d wire.Disconnected
	_, err = c.do(ctx, request{method: http.MethodPost, path: userPath(id) + "/disconnect"}, &d)
	return d.Connections, err
}

// EraseUser deletes all devices of the user and ends every connection that is signed in as
// the user. When it fails half way, asking again goes on.
func (c *Client) EraseUser(ctx context.Context, id diaphone.UserID) (wire.Erased, error) {
	var e wire.Erased
	_, err := c.do(ctx, request{method: http.MethodDelete, path: userPath(id)}, &e)
	return e, err
}

func livePath(c diaphone.ChannelName) string { return "/v1/channels/" + url.PathEscape(string(c)) }

func userPath(id diaphone.UserID) string { return "/v1/users/" + url.PathEscape(string(id)) }
