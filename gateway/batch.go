package gateway

import (
	"context"
	"sync"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// MaxBatch is how many messages one batch has at most.
const MaxBatch = 100

// Publication is one message of a batch.
type Publication struct {
	Message     *diaphone.Message
	Idempotency storage.Idempotency
}

// BatchResult is what became of one message of a batch.
type BatchResult struct {
	Published
	Err error // as of Publish
}

// PublishBatch is Publish for many messages at once: each is accepted or refused by
// itself. Those that go to disk go there together, which shares its syncs; events
// reach the sockets in the order of the batch, once everything is on disk. The
// context ends what has not been accepted by then.
func (g *Gateway) PublishBatch(ctx context.Context, batch []Publication) []BatchResult {
	results := make([]BatchResult, len(batch))
	delivers := make([]func(), len(batch))
	var accepting sync.WaitGroup
	for i, p := range batch {
		app, err := g.prepare(p.Message)
		if err != nil {
			results[i].Err = err
			continue
		}
		accepting.Go(func() {
			results[i].Published, delivers[i], results[i].Err = g.accept(ctx, app, p.Message, p.Idempotency)
		})
	}
	accepting.Wait()
	for _, deliver := range delivers {
		if deliver != nil { // nil: it was refused
			deliver()
		}
	}
	return results
}
