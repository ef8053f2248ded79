package storage

import (
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Telling says what backends are told of what becomes of their messages. An engine is
// opened with one; its notices go into the queues of Notices in the transaction that
// they tell of, so that neither exists without the other. The zero value tells nobody.
//
// All functions must be quick and safe for concurrent use, for engines call them inside
// transactions, and again when one of these is repeated: Told alone is called once, when
// the notices are durable.
type Telling struct {
	// Wants tells whether an app's backends want to hear of a kind. What nobody wants to
	// hear of is not even read.
	Wants func(app diaphone.AppID, kind diaphone.NoticeKind) bool
	// Finished gives the notices of a message that nothing is left to do of.
	Finished func(f Finished) []AddressedNotice
	// Dead gives the notices of a token that was given up.
	Dead func(d DeadToken) []AddressedNotice
	// Told tells how many notices a queue has got, and how many it had no room for.
	Told func(id diaphone.WebhookID, appended, dropped int)
	// MaxPending is how many notices wait in a queue before others are dropped: an
	// endpoint that is away must not fill the disk. 0: no bound.
	MaxPending int64
}

// Finished is a message that nothing is left to do of.
type Finished struct {
	App         diaphone.AppID
	ID          diaphone.MessageID
	Counts      diaphone.Counts
	Receipts    diaphone.ReceiptCounts // so far
	FinishedAt  time.Time
	CancelledAt time.Time // zero: it was not
	// Unreached are users that it was sent to by name and that no device of theirs has
	// got it for, nor any socket. It is known where a backend wants to hear of it, and the
	// message was owed to at most MaxUnreached devices and was not cancelled.
	Unreached []Unreached
	Event     bool // it had one: who is connected may have got that without any proof
}

// MaxUnreached bounds what is read at the end of one message.
const MaxUnreached = 5 * PlanPage

// Unreached is a user whom a message did not reach, and why, in the word of one of its
// deliveries; "no_devices" when there was none.
type Unreached struct {
	User   diaphone.UserID
	Reason string
}

// DeadToken is a token that its provider has called dead, and that was given up.
type DeadToken struct {
	App    diaphone.AppID
	Device diaphone.DeviceID
	User   diaphone.UserID
	Token  diaphone.Token
	Reason string // the provider's
	At     time.Time
}
