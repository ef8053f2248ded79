package storage

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Receipts is what installations report of the messages that they were sent.
type Receipts interface {
	// Report keeps what a device reports, each kind of a message once: the first time
	// counts. It answers each receipt, in order. Only a message that the device was owed
	// takes one: so nobody can fill the disk. Receipts are swept with their message.
	// NotFound: there is no such device.
	Report(ctx context.Context, app diaphone.AppID, device diaphone.DeviceID, receipts []diaphone.Receipt, now time.Time) (Reported, error)
}

// Reported is what became of receipts.
type Reported struct {
	Answers []ReceiptAnswer
}

// ReceiptAnswer is what became of one.
type ReceiptAnswer struct {
	Fate ReceiptFate
	// Message that it is of, shared and read-only; nil: Unknown.
	Message  *diaphone.Message
	Finished bool // nothing of the message was left to do
	// User whose device it was when the message was accepted, and is; empty: nobody's.
	User diaphone.UserID
}

// ReceiptFate says whether a receipt was kept.
type ReceiptFate string

// The fates.
const (
	ReceiptKept    ReceiptFate = "kept"
	ReceiptKnown   ReceiptFate = "known"   // it was kept before
	ReceiptUnknown ReceiptFate = "unknown" // the device was not sent such a message, or it is forgotten
)

// DeviceReceipt is a receipt that was kept.
type DeviceReceipt struct {
	Kind diaphone.ReceiptKind
	At   time.Time // by the phone's clock, if that can be
	Came time.Time
}
