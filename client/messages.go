package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// Published is what became of a Publish.
type Published struct {
	wire.Published
	Replayed bool `json:"replayed,omitempty"` // an earlier request with the same idempotency key was answered again
}

// Publish sends a message. With an idempotencyKey (1 to 255 printable ASCII
// characters; empty: none) it is safe to call again after an error that leaves
// its effect unknown.
func (c *Client) Publish(ctx context.Context, m wire.NewMessage, idempotencyKey string) (Published, error) {
	r := request{method: http.MethodPost, path: "/v1/messages", body: m}
	r.setIdempotencyKey(idempotencyKey)
	var p Published
	h, err := c.do(ctx, r, &p.Published)
	if err != nil {
		return Published{}, err
	}
	p.Replayed = h.Get("Idempotent-Replayed") == "true"
	return p, nil
}

// Preview tells how a message would be sent, and sends nothing. What Publish would
// refuse it refuses alike.
func (c *Client) Preview(ctx context.Context, m wire.NewMessage) (wire.Preview, error) {
	var p wire.Preview
	r := request{method: http.MethodPost, path: "/v1/messages", query: url.Values{"preview": {"1"}}, body: m}
	_, err := c.do(ctx, r, &p)
	return p, err
}

// Message tells how far a message has come.
func (c *Client) Message(ctx context.Context, id diaphone.MessageID) (wire.Message, error) {
	var m wire.Message
	_, err := c.do(ctx, request{method: http.MethodGet, path: messagePath(id)}, &m)
	return m, err
}

// Cancel takes a message back, and tells for how many deliveries that came too late.
func (c *Client) Cancel(ctx context.Context, id diaphone.MessageID) (wire.Cancellation, error) {
	var out wire.Cancellation
	_, err := c.do(ctx, request{method: http.MethodPost, path: messagePath(id) + "/cancel"}, &out)
	return out, err
}

// Deliveries gives a page of a message's deliveries. The zero PageOptions ask
// for the first page.
func (c *Client) Deliveries(ctx context.Context, id diaphone.MessageID, o PageOptions) (wire.Page[wire.Delivery], error) {
	var p wire.Page[wire.Delivery]
	_, err := c.do(ctx, request{method: http.MethodGet, path: messagePath(id) + "/deliveries", query: o.query()}, &p)
	return p, err
}

// AllDeliveries walks through all pages. It ends after the first error.
func (c *Client) AllDeliveries(ctx context.Context, id diaphone.MessageID) iter.Seq2[wire.Delivery, error] {
	return all(func(o PageOptions) (wire.Page[wire.Delivery], error) { return c.Deliveries(ctx, id, o) })
}

// How Wait asks: quickly at first, for most messages are done at once, then ever
// more slowly.
const (
	firstPoll = 50 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// Wait asks until every delivery of the message has its final state or ctx ends.
// A gateway that says "not now" is asked again when it wished; every other error
// ends the wait. The message is the last that was seen, also beside an error.
func (c *Client) Wait(ctx context.Context, id diaphone.MessageID) (wire.Message, error) {
	var seen wire.Message
	var last error // what kept us from seeing more
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		m, err := c.Message(ctx, id)
		wait := pause/2 + rand.N(pause) // apart from others who wait
		var p *Problem
		switch {
		case err == nil && m.State == diaphone.Finished:
			return m, nil
		case err == nil:
			seen, last = m, nil
		case errors.As(err, &p) && p.RetryAfter > 0:
			wait, last = p.RetryAfter, p
		default:
			return seen, err
		}
		err = sleep(ctx, wait)
		switch {
		case err != nil && last != nil:
			return seen, fmt.Errorf("%w; the last answer was: %w", err, last)
		case err != nil:
			return seen, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func messagePath(id diaphone.MessageID) string { return "/v1/messages/" + url.PathEscape(string(id)) }
