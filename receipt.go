package diaphone

import "time"

// Receipt is what an installation reports of a message that was sent to it. It is the
// phone's own word, beside the provider's, which is the state of a delivery.
type Receipt struct {
	Message MessageID
	Kind    ReceiptKind
	// At is when, by the phone's clock; where that cannot be, Plausible puts the time of
	// arrival in its place. zero: the phone does not say.
	At time.Time
}

// ReceiptKind is what has become of a message on the phone.
type ReceiptKind string

// The kinds.
const (
	ReceiptDelivered     ReceiptKind = "delivered"      // the app has it
	ReceiptDisplayed     ReceiptKind = "displayed"      // it was shown
	ReceiptOpened        ReceiptKind = "opened"         // its user has opened it
	ReceiptDismissed     ReceiptKind = "dismissed"      // its user has put it away
	ReceiptDecryptFailed ReceiptKind = "decrypt_failed" // the app could not read it
)

// ReceiptKinds are all of them.
func ReceiptKinds() []ReceiptKind {
	return []ReceiptKind{ReceiptDelivered, ReceiptDisplayed, ReceiptOpened, ReceiptDismissed, ReceiptDecryptFailed}
}

// Confirms tells whether the kind says that the user has the message.
func (k ReceiptKind) Confirms() bool {
	return k == ReceiptDelivered || k == ReceiptDisplayed || k == ReceiptOpened
}

// MaxReceipts are reported together.
const MaxReceipts = 100

// Plausible gives the time of a receipt that came at now, of a message that was to go
// out at the given time: the phone's, unless that is earlier than the message or later
// than now.
func (r *Receipt) Plausible(begins, now time.Time) time.Time {
	if r.At.Before(begins) || r.At.After(now) {
		return now
	}
	return r.At
}

// ReceiptCounts are how many devices have reported what of a message.
type ReceiptCounts struct {
	Delivered, Displayed, Opened, Dismissed, DecryptFailed int64
}

// Of gives a pointer to the count of a kind, or nil.
func (c *ReceiptCounts) Of(k ReceiptKind) *int64 {
	switch k {
	case ReceiptDelivered:
		return &c.Delivered
	case ReceiptDisplayed:
		return &c.Displayed
	case ReceiptOpened:
		return &c.Opened
	case ReceiptDismissed:
		return &c.Dismissed
	case ReceiptDecryptFailed:
		return &c.DecryptFailed
	}
	return nil
}
