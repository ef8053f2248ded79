package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/diaphone-dev/diaphone/api/wire"
)

// Webhooks tells how the app's webhooks fare.
func (c *Client) Webhooks(ctx context.Context) ([]wire.Webhook, error) {
	var p wire.Page[wire.Webhook]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/webhooks"}, &p)
	return p.Data, err
}

// DeadLetters gives a page of what a webhook could not be told, oldest first.
func (c *Client) DeadLetters(ctx context.Context, webhook string, o PageOptions) (wire.Page[wire.DeadLetter], error) {
	var p wire.Page[wire.DeadLetter]
	_, err := c.do(ctx, request{method: http.MethodGet, path: deadLettersPath(webhook), query: o.query()}, &p)
	return p, err
}

// AllDeadLetters walks through all pages. It ends after the first error.
func (c *Client) AllDeadLetters(ctx context.Context, webhook string) iter.Seq2[wire.DeadLetter, error] {
	return all(func(o PageOptions) (wire.Page[wire.DeadLetter], error) { return c.DeadLetters(ctx, webhook, o) })
}

// ResendDeadLetters has dead letters sent again: those with the sequence numbers,
// or (none) all. While More is true, there are others: call it again.
func (c *Client) ResendDeadLetters(ctx context.Context, webhook string, sequences ...uint64) (wire.Handled, error) {
	var h wire.Handled
	_, err := c.do(ctx, request{method: http.MethodPost, path: deadLettersPath(webhook) + "/resend", body: wire.Chosen{Sequences: sequences}}, &h)
	return h, err
}

// DiscardDeadLetters forgets dead letters, chosen as ResendDeadLetters does.
func (c *Client) DiscardDeadLetters(ctx context.Context, webhook string, sequences ...uint64) (wire.Handled, error) {
	q := url.Values{}
	if len(sequences) > 0 {
		q.Set("sequences", joined(sequences))
	}
	var h wire.Handled
	_, err := c.do(ctx, request{method: http.MethodDelete, path: deadLettersPath(webhook), query: q}, &h)
	return h, err
}

func joined(numbers []uint64) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(texts, ",")
}

func deadLettersPath(webhook string) string {
	return "/v1/webhooks/" + url.PathEscape(webhook) + "/dead-letters"
}
