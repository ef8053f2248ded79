package hooks

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// backlogs knows about how much waits in the log of each webhook, in notices and in
// bytes, and asks the store only when one seems to be full. Without a bound an endpoint
// that answers, but more slowly than things happen, would fill the disk for all apps.
// The goroutine that writes the logs owns it.
type backlogs struct {
	from  storage.Notices
	most  int64 // notices
	bytes int64
	logs  map[diaphone.WebhookID]*backlog
	asked time.Time
}

// backlog is the log of one webhook. The store counts notices; how large they are is
// known of those that were put in since the start, and the others are taken to be alike.
type backlog struct {
	notices int64   // what waited when the store was asked, and what was put in since
	mean    float64 // bytes of a notice, the latest counting most
}

const (
	backlogEvery = time.Second // how often the store is asked at most
	likelyWeight = 500         // bytes of a notice, as long as none was seen
	meanOf       = 100         // so many of the latest notices make up the mean
)

func newBacklogs(ctx context.Context, from storage.Notices, most int, bytes int64) (*backlogs, error) {
	b := &backlogs{from: from, most: int64(most), bytes: bytes, logs: map[diaphone.WebhookID]*backlog{}}
	return b, b.ask(ctx)
}

func (b *backlogs) ask(ctx context.Context) error {
	b.asked = time.Now()
	queues, err := b.from.Queues(ctx, "")
	if err != nil {
		return err
	}
	for _, l := range b.logs {
		l.notices = 0
	}
	for _, q := range queues {
		b.of(q.Webhook).notices = q.Pending
	}
	return nil
}

func (b *backlogs) of(id diaphone.WebhookID) *backlog {
	l := b.logs[id]
	if l == nil {
		l = &backlog{mean: likelyWeight}
		b.logs[id] = l
	}
	return l
}

// add notes a notice that is put into a log.
func (b *backlogs) add(id diaphone.WebhookID, bytes int) {
	l := b.of(id)
	l.notices++
	l.mean += (float64(bytes) - l.mean) / meanOf
}

// full tells whether a log takes no more than state.
func (b *backlogs) full(ctx context.Context, id diaphone.WebhookID) (bool, error) {
	if !b.seemsFull(id) {
		return false, nil
	}
	if time.Since(b.asked) >= backlogEvery {
		if err := b.ask(ctx); err != nil {
			return true, err
		}
	}
	return b.seemsFull(id), nil
}

func (b *backlogs) seemsFull(id diaphone.WebhookID) bool {
	l := b.of(id)
	return l.notices >= b.most || float64(l.notices)*l.mean >= float64(b.bytes)
}
