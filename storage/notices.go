package storage

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Notices is what webhooks are owed: for each a queue in order, the dead letters
// beside it, and what the backends have been told that still stands. A queue is
// there as soon as something is appended to it; whether the webhook is still
// declared is not asked.
//
// A notice is not a delivery of the outbox (ADR 4): the order of one webhook is
// what counts, so a queue has one reader, which takes from the front and ends what
// it took, and nothing needs a lease.
type Notices interface {
	// Append adds notices at the ends of queues, in the order given, and changes
	// what stands, all in one transaction. A queue's sequence numbers begin with 1
	// and have no gap, whatever was removed since. Where a store has lost records
	// to damage there is one: no number is given twice.
	Append(ctx context.Context, a Append) error
	// Front gives the first notices of a queue, at most n of them, without taking
	// them.
	Front(ctx context.Context, id diaphone.WebhookID, n int) ([]QueuedNotice, error)
	// Done removes the notices up to and with a sequence number: they are delivered.
	Done(ctx context.Context, id diaphone.WebhookID, upTo uint64) error
	// Bury moves the notices up to and with a sequence number to the dead letters,
	// where they keep their numbers. The reason carries no secret. When there are more
	// than MaxDeadLetters, the oldest are forgotten.
	Bury(ctx context.Context, id diaphone.WebhookID, upTo uint64, reason string, now time.Time) error
	// Queues gives every queue that has or had notices, of one app or (empty) of all.
	Queues(ctx context.Context, app diaphone.AppID) ([]NoticeQueue, error)
	// DeadLetters gives a page of what was buried, the oldest first.
	DeadLetters(ctx context.Context, id diaphone.WebhookID, page Page) (letters []DeadLetter, next string, err error)
	// Revive appends dead letters, the oldest first and at most MaxPage of them, to
	// the end of their queue again, where they get new sequence numbers and wait
	// since now: those with the numbers given, or (nil) all. more: call again.
	Revive(ctx context.Context, id diaphone.WebhookID, seqs []uint64, now time.Time) (revived int, more bool, err error)
	// Discard forgets dead letters, those with the numbers given or (nil) all, at
	// most MaxPage of them. more: call again.
	Discard(ctx context.Context, id diaphone.WebhookID, seqs []uint64) (discarded int, more bool, err error)
	// SweepNotices forgets dead letters buried before the given time, and notices that
	// wait since before it in queues that are not in keep (their webhooks are not
	// declared any more), at most limit of them. It goes through a queue from its front and
	// stops at the first that stays. more: call again.
	SweepNotices(ctx context.Context, before time.Time, keep []diaphone.WebhookID, limit int) (removed int, more bool, err error)
	// Standing gives a page of what the backends of an app, or (empty) of all, have been
	// told that still stands.
	Standing(ctx context.Context, app diaphone.AppID, page Page) (standing []Stand, next string, err error)
}

// MaxDeadLetters is how many a queue keeps at most.
const MaxDeadLetters = 100_000

// Append is one write of Notices.
type Append struct {
	Notices []AddressedNotice
	Begun   []Stand // stands from now on; standing already is fine
	Ended   []Stand // stands no longer, though it be in Begun; not standing is fine
}

// AddressedNotice is a notice and the webhooks that are to hear of it.
type AddressedNotice struct {
	Notice   diaphone.Notice
	Webhooks []diaphone.WebhookID
}

// QueuedNotice is a notice in its place in a queue.
type QueuedNotice struct {
	Seq    uint64
	Since  time.Time // it waits: since it happened, or since it was revived
	Notice diaphone.Notice
}

// NoticeQueue is the state of one queue.
type NoticeQueue struct {
	Webhook diaphone.WebhookID
	Pending int64
	Dead    int64
	Last    uint64    // the sequence number given last
	Oldest  time.Time // since when the first that is pending waits; zero: none is
}

// DeadLetter is a notice that was given up.
type DeadLetter struct {
	QueuedNotice        // with the number that it had in its queue
	Reason       string // of the last attempt
	Buried       time.Time
}

// Stand is what a backend believes: that a channel is occupied (User is empty) or
// that a user is a member of it. After a crash nobody is left who could tell it
// otherwise, so it is kept.
type Stand struct {
	App     diaphone.AppID
	Channel diaphone.ChannelName
	User    diaphone.UserID
}
