// Package storage is the contract of what must last: devices, accepted
// messages, the outbox of deliveries and their history, the logs of webhooks. Engines live in
// sub-folders (bolt; later postgres) and all pass the conformance suite in
// storagetest.
//
// A method that writes returns only when its effect would survive a crash of
// the process or of the machine. Every method may be called concurrently.
// Errors whose meaning is known are *diaphone.Error: NotFound, StorageFull,
// Unavailable (the store has turned read-only after a failed write). A time is
// kept to the millisecond.
package storage

import (
	"context"
	"errors"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Devices is the registry of devices.
type Devices interface {
	// ChangeDevice reads the device, hands it to change (known is false, and it has
	// nothing but App and ID, when there is none), and stores what change gives back,
	// all in one transaction. It gives what is stored then. App, ID, CreatedAt and
	// UpdatedAt are the engine's to say; what comes back as it was is not written. An
	// error of change ends the call with nothing stored. change may run more than
	// once, and must be quick and have no effect but its result.
	//
	// A token reaches one phone only, and is never transferred: another device of the
	// app that holds a token which this one had not is deleted.
	ChangeDevice(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, now time.Time, change Change) (stored diaphone.Device, created bool, err error)
	// Device gives one device, or NotFound.
	Device(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) (diaphone.Device, error)
	// DeleteDevice forgets a device, or answers NotFound.
	DeleteDevice(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID) error
	// ListDevices gives a page of the app's devices, or of one user's, oldest
	// first. The next cursor is empty after the last page.
	ListDevices(ctx context.Context, app diaphone.AppID, user diaphone.UserID, page Page) (devices []diaphone.Device, next string, err error)
	// CountDevices counts the app's devices, a million in some milliseconds.
	CountDevices(ctx context.Context, app diaphone.AppID) (int, error)
	// EraseUser deletes the user's devices, at most limit of them. more: call again.
	EraseUser(ctx context.Context, app diaphone.AppID, user diaphone.UserID, limit int) (removed int, more bool, err error)
	// SweepDevices looks at the next limit devices of all apps and deletes those that
	// have not registered since the given time, and of which nothing else has changed
	// since: who binds a user, joins a channel, takes a secret or has just lost a token
	// stays. next is the cursor to go on with, empty behind the last device.
	SweepDevices(ctx context.Context, before time.Time, cursor string, limit int) (removed int, next string, err error)
}

// Change gives a device as it is to become.
type Change func(d diaphone.Device, known bool) (diaphone.Device, error)

// Page is a bounded piece of a list. Cursor is what the call before gave as
// next, empty for the first page; one that this engine did not give is Invalid
// with the pointer "/cursor".
type Page struct {
	Cursor string
	Limit  int // 1 to MaxPage
}

// MaxPage is the largest page.
const MaxPage = 1000

// Sizes of the outbox.
const (
	PlanPage = 1000 // devices that one planning step reads at most
	MaxBatch = 500  // deliveries in one batch at most
)

// Route decides which lane and token kind a message takes to one device. A
// device that nothing can reach gets a reason instead and its delivery fails at
// once. It must be quick, pure and safe for concurrent use: engines call it
// inside transactions.
type Route func(m *diaphone.Message, d *diaphone.Device) (lane diaphone.Lane, kind diaphone.TokenKind, reason string)

// Outbox is the durable queue of deliveries. Its unit is a batch: deliveries of
// one message on one lane.
type Outbox interface {
	// Accept stores the message and plans the first page of its audience in one
	// transaction. With an idempotency key that the app used before, nothing is
	// stored: the earlier message's id comes back with Replayed, or Conflict when
	// the bodies differ. A message without a notification plans nothing and is
	// finished at once. One that has SendAt plans nothing either: it waits for Start.
	Accept(ctx context.Context, m *diaphone.Message, idem Idempotency, route Route) (Accepted, error)
	// Replayed gives what Accept would answer for an idempotency key that the app used
	// before, and stores nothing; ok is false when it did not. Conflict: with another body.
	Replayed(ctx context.Context, app diaphone.AppID, idem Idempotency) (a Accepted, ok bool, err error)
	// Plan reads the next page of the audience of an accepted message whose
	// planning is unfinished and stores its batches. Every device that belonged to
	// the audience when the message was accepted, and still does when its page is
	// read, is planned exactly once. done: nothing is left to plan, or not before Start.
	Plan(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, route Route) (done bool, lanes []diaphone.Lane, err error)
	// Due gives messages that were scheduled for now or earlier, in the order of their
	// times, and when the next one is due (zero: none is). One that is lost to damage
	// comes with its id alone, for Start to end it.
	Due(ctx context.Context, now time.Time, limit int) (due []*diaphone.Message, next time.Time, err error)
	// Start ends the waiting of a scheduled message and goes on as Accept does; it is
	// the audience of now that counts. began is false, and nothing has happened, when
	// the message does not wait any more: so each begins once.
	Start(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, route Route) (a Accepted, began bool, err error)
	// Cancel takes a message back: no more of it is planned, it never starts, batches of
	// it are claimed as Cancelled, and a result that says Pending is recorded as the end
	// of its delivery. It is NotFound for an unknown message, and for one that has
	// finished or was cancelled before it only gives the report.
	Cancel(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, now time.Time) (MessageReport, error)
	// Unplanned gives messages whose planning is unfinished, oldest first.
	Unplanned(ctx context.Context, limit int) ([]Ref, error)
	// Claim leases batches of the lane that are due, urgent ones first, then by
	// due time, until they hold at least n deliveries or nothing is left. A lease
	// that is not settled within its time returns to the queue by itself; leases
	// of a process that died return at once. next is when the same claim, asked
	// again, would find work that it could not take now (zero: none known); the
	// time of the claim itself means that there is more already.
	Claim(ctx context.Context, c Claim) (batches []Batch, next time.Time, err error)
	// Settle records results of claimed batches in one transaction: history,
	// counts, retries, dead tokens. Deliveries of the batch that no result names
	// stay leased, for another lease time, unless Release returns them. A batch
	// whose fence is out of date is skipped and listed in Fenced.
	Settle(ctx context.Context, s []Settlement, now time.Time) (Settled, error)
	// Backlog tells how many deliveries of the app wait or are under way, and how many
	// messages wait for their time. It costs nothing, and may be a moment old.
	Backlog(app diaphone.AppID) (pending, scheduled int64)
	// Lanes gives every lane that has queued deliveries.
	Lanes(ctx context.Context) ([]diaphone.Lane, error)
}

// Idempotency is a publisher's key and the hash of the body it came with. The
// zero value: no key.
type Idempotency struct {
	Key  string
	Body [32]byte
}

// Accepted is what became of a message given to Accept.
type Accepted struct {
	ID       diaphone.MessageID // the earlier message's when Replayed
	Replayed bool
	Planned  bool            // planning is complete
	Lanes    []diaphone.Lane // that have new work
	Counts   diaphone.Counts
}

// Ref names a message across apps.
type Ref struct {
	App diaphone.AppID
	ID  diaphone.MessageID
}

// Claim asks for work.
type Claim struct {
	Lane  diaphone.Lane
	Now   time.Time
	N     int // deliveries wanted
	Lease time.Duration
	// UrgentOnly leaves bulk batches alone: the caller holds enough of them, but
	// an urgent message must not wait behind a broadcast.
	UrgentOnly bool
}

// Batch is claimed work.
type Batch struct {
	Key     string // opaque; for Settle
	Fence   uint64
	Lane    diaphone.Lane
	Message *diaphone.Message // shared and read-only
	Urgent  bool
	// Cancelled: the message has been taken back. Its deliveries are to be settled as
	// that, without an attempt.
	Cancelled bool
	Items     []Item
}

// Item is one delivery of a batch.
type Item struct {
	Index  uint32 // within the batch's page; for Result
	Device diaphone.DeviceID
	Kind   diaphone.TokenKind
	Tries  int // attempts that counted so far
}

// Settlement is what became of deliveries of one batch.
type Settlement struct {
	Batch   *Batch
	Results []Result
	Release bool // give back what Results does not name
}

// Result is one step of one delivery.
type Result struct {
	Index   uint32
	State   diaphone.State    // Pending: again at RetryAt
	Reason  string            // why, where no attempt says it: "expired", "taken_live", …
	Attempt *diaphone.Attempt // nil: decided without one
	RetryAt time.Time         // Pending only
	Tries   int               // attempts that count, after this one
	Forget  *Forget           // a token found dead
	Move    *Move             // a token found in another environment
}

// Forget marks a token as gone in the settle transaction, but only if the device
// still holds this value and has not registered it again since Since.
type Forget struct {
	Device diaphone.DeviceID
	Token  diaphone.Token
	Since  time.Time
	Reason string // in the provider's word
}

// Move records the environment that an APNs token has turned out to belong to, in
// the settle transaction, on the same conditions as Forget.
type Move struct {
	Device diaphone.DeviceID
	Token  diaphone.Token
	To     diaphone.Environment
	Since  time.Time
}

// Settled is the result of Settle.
type Settled struct {
	Fenced    []string // keys of batches whose lease was lost; their results are void
	Finished  []Ref    // messages whose last delivery ended with this call
	Forgotten int      // tokens marked as gone
}

// History answers what became of a message.
type History interface {
	// Message gives an accepted message, or NotFound.
	Message(ctx context.Context, app diaphone.AppID, id diaphone.MessageID) (MessageReport, error)
	// Deliveries gives a page of the message's deliveries in the order they were
	// planned, each with all its attempts.
	Deliveries(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, page Page) (reports []DeliveryReport, next string, err error)
	// Delivery gives one device's delivery with all its attempts. Its cost does not grow
	// with the size of the message, unless the device has been deleted since. NotFound:
	// there is no such message, or none of it is owed to the device (or not yet, while
	// the message is being planned).
	Delivery(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, device diaphone.DeviceID) (DeliveryReport, error)
	// Sweep removes finished messages accepted before the given time, or scheduled for
	// before it, with their history and idempotency records, at most limit of them. more: call again.
	Sweep(ctx context.Context, before time.Time, limit int) (removed int, more bool, err error)
}

// MessageReport is a message and how far it has come.
type MessageReport struct {
	Message    *diaphone.Message
	State      diaphone.MessageState
	Counts     diaphone.Counts
	Planned    bool      // who is in its audience is known
	FinishedAt time.Time // zero: not yet

	Receipts diaphone.ReceiptCounts // what devices report of it

	CancelledAt time.Time // zero: it was not
	Unsent      bool      // it was cancelled while it waited for its time: nothing of it went out
}

// DeliveryReport is one delivery and its story.
type DeliveryReport struct {
	Device   diaphone.DeviceID
	Lane     diaphone.Lane
	State    diaphone.State
	Reason   string // of a final state, or of the last step
	Attempts []diaphone.Attempt
	RetryAt  time.Time       // pending and waiting; zero: due
	Receipts []DeviceReceipt // what the device reports, in the order in which it came
}

// Store is a whole engine.
type Store interface {
	Devices
	Outbox
	History
	Receipts
	Notices
	// Check writes and reads back a probe: nil means that an Accept would succeed.
	Check(ctx context.Context) error
	// Close ends the engine after the writes that wait are committed.
	Close() error
}

// ErrClosed is what every method answers after Close.
var ErrClosed = errors.New("the store is closed")
