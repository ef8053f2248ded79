package client

import (
	"context"
	"errors"
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

// errNoneChosen keeps an empty selection from meaning everything, as it does on the wire.
var errNoneChosen = errors.New("no dead letters are chosen: name their sequence numbers")

// ResendDeadLetters has the dead letters with the sequence numbers sent again. No
// number at all is an error.
func (c *Client) ResendDeadLetters(ctx context.Context, webhook string, sequences ...uint64) (wire.Handled, error) {
	if len(sequences) == 0 {
		return wire.Handled{}, errNoneChosen
	}
	return c.resend(ctx, webhook, wire.Chosen{Sequences: sequences})
}

// ResendAllDeadLetters has all dead letters sent again, as many as one request does.
// While More is true, there are others: call it again.
func (c *Client) ResendAllDeadLetters(ctx context.Context, webhook string) (wire.Handled, error) {
	return c.resend(ctx, webhook, wire.Chosen{})
}

func (c *Client) resend(ctx context.Context, webhook string, chosen wire.Chosen) (h wire.Handled, err error) {
	_, err = c.do(ctx, request{method: http.MethodPost, path: deadLettersPath(webhook) + "/resend", body: chosen}, &h)
	return h, err
}

// DiscardDeadLetters forgets the dead letters with the sequence numbers. No number at
// all is an error.
func (c *Client) DiscardDeadLetters(ctx context.Context, webhook string, sequences ...uint64) (wire.Handled, error) {
	if len(sequences) == 0 {
		return wire.Handled{}, errNoneChosen
	}
	return c.discard(ctx, webhook, url.Values{"sequences": {joined(sequences)}})
}

// DiscardAllDeadLetters forgets all dead letters, as many as one request does. While
// More is true, there are others: call it again.
func (c *Client) DiscardAllDeadLetters(ctx context.Context, webhook string) (wire.Handled, error) {
	return c.discard(ctx, webhook, nil)
}

func (c *Client) discard(ctx context.Context, webhook string, q url.Values) (h wire.Handled, err error) {
	_, err = c.do(ctx, request{method: http.MethodDelete, path: deadLettersPath(webhook), query: q}, &h)
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
