package client

import (
	"context"
	"net/http"

	"github.com/diaphone-dev/diaphone/api/wire"
)

// BatchResult is what became of one message of a batch.
type BatchResult struct {
	Published
	Err error // nil, or a *Problem: why the message was refused
}

// PublishBatch sends 1 to 100 messages, each accepted or refused by itself, and gives
// a result for each, in order. The error is that of the request as a whole; then
// there are no results.
//
// With an idempotencyKey (empty: none), messages that have none get one made of it
// and of their place. When all have a key, the same call may be made again until
// every message is accepted.
func (c *Client) PublishBatch(ctx context.Context, messages []wire.BatchMessage, idempotencyKey string) ([]BatchResult, error) {
	r := request{method: http.MethodPost, path: "/v1/messages/batch", body: wire.NewBatch{Messages: messages}}
	r.setIdempotencyKey(idempotencyKey)
	var b wire.Batch
	if _, err := c.do(ctx, r, &b); err != nil {
		return nil, err
	}
	results := make([]BatchResult, len(b.Data))
	for i, d := range b.Data {
		switch {
		case d.Problem != nil:
			results[i].Err = &Problem{Problem: *d.Problem}
		case d.Message != nil:
			results[i].Published = Published{Published: *d.Message, Replayed: d.Replayed}
		}
	}
	return results, nil
}
