package gateway

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Cancellation is what a publisher is told who takes a message back.
type Cancellation struct {
	Cancelled int64 // deliveries that end without another attempt
	TooLate   int64 // deliveries that had ended, or had an attempt in flight
	Unsent    bool  // it still waited for its time: nothing of it went out
}

// Cancel takes a stored message back. When it returns without an error, that is on disk
// and no attempt of the message begins any more. NotFound: there is no such message.
func (g *Gateway) Cancel(ctx context.Context, app diaphone.AppID, id diaphone.MessageID) (Cancellation, error) {
	r, err := g.parts.Outbox.Cancel(ctx, app, id, time.Now())
	if err != nil {
		return Cancellation{}, err
	}
	g.Changed(app, id)
	// What is in flight becomes ever less. While it stays the same, nothing but
	// cancellations is recorded, and the counts between two answers fit to both.
	for before := -1; ; {
		aloft, err := g.parts.Recall(ctx, app, id)
		if err != nil {
			return Cancellation{}, &diaphone.Error{Code: diaphone.Unavailable, RetryAfter: time.Second, Err: err,
				Detail: "the message is cancelled, but how far it had come could not be told in time; ask again"}
		}
		if aloft == before {
			c := r.Counts
			cancelled := c.Cancelled + c.Pending - int64(aloft)
			return Cancellation{Cancelled: cancelled, TooLate: c.Accepted - cancelled, Unsent: r.Unsent}, nil
		}
		before = aloft
		if r, err = g.parts.History.Message(ctx, app, id); err != nil {
			return Cancellation{}, err
		}
	}
}
