package hooks

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// backlogs knows about how much waits in the log of each webhook, and asks the store
// only when one seems to be full. Without a bound an endpoint that answers, but more
// slowly than things happen, would fill the disk for all apps. The goroutine that
// writes the logs owns it.
type backlogs struct {
	from  storage.Notices
	limit int64
	upTo  map[diaphone.WebhookID]int64 // what waited when the store was asked, and what was put in since
	asked time.Time
}

// backlogEvery is how often the store is asked at most.
const backlogEvery = time.Second

func newBacklogs(ctx context.Context, from storage.Notices, limit int) (*backlogs, error) {
	b := &backlogs{from: from, limit: int64(limit)}
	return b, b.ask(ctx)
}

func (b *backlogs) ask(ctx context.Context) error {
	b.asked = time.Now()
	queues, err := b.from.Queues(ctx, "")
	if err != nil {
		return err
	}
	b.upTo = make(map[diaphone.WebhookID]int64, len(queues))
	for _, q := range queues {
		b.upTo[q.Webhook] = q.Pending
	}
	return nil
}

// full tells whether a log takes no more than state.
func (b *backlogs) full(ctx context.Context, id diaphone.WebhookID) (bool, error) {
	if b.upTo[id] < b.limit {
		return false, nil
	}
	if time.Since(b.asked) >= backlogEvery {
		if err := b.ask(ctx); err != nil {
			return true, err
		}
	}
	return b.upTo[id] >= b.limit, nil
}
