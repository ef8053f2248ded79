package diaphone

import "time"

// ProviderName names a push provider.
type ProviderName string

// The providers.
const (
	APNs    ProviderName = "apns"
	FCM     ProviderName = "fcm"
	WebPush ProviderName = "webpush"
)

// Delivery is one message owed to one device. It ends in exactly one final State.
type Delivery struct {
	ID      string // DeliveryID of message and device: the same on every attempt
	Message *Message
	Device  DeviceID
	Token   Token
}

// State of a delivery. All but Pending are final.
type State string

// The states. "delivered" means that the provider accepted it: what the phone
// then showed is known only from the phone's own report.
const (
	Pending    State = "pending"
	Delivered  State = "delivered"
	Failed     State = "failed"
	Expired    State = "expired"
	Suppressed State = "suppressed" // its user was live
	Cancelled  State = "cancelled"  // its device left the audience before the attempt, or its publisher took it back
)

// Attempt is one try of one delivery at its provider.
type Attempt struct {
	At         time.Time
	Verdict    Verdict
	Status     int    // the provider's HTTP status; 0: no answer
	Reason     string // the provider's own word, for example "Unregistered"
	ProviderID string // apns-id, or FCM's message name; Web Push has none
	Latency    time.Duration
}

// Verdict is what an attempt's answer means for the delivery. The whole retry
// policy is one switch over it, in package push.
type Verdict string

// The verdicts.
const (
	Accepted  Verdict = "accepted"  // the provider took it
	Refused   Verdict = "refused"   // this payload will never pass
	Gone      Verdict = "gone"      // the token is dead since GoneSince
	Suspect   Verdict = "suspect"   // the token may be wrong, or our set-up is: never delete
	Retry     Verdict = "retry"     // the provider's trouble: try again
	Throttled Verdict = "throttled" // too much: wait; Lane says for whom
	Denied    Verdict = "denied"    // the credential is bad: pause the lane, touch no device
	Unknown   Verdict = "unknown"   // an answer that nobody documents: once more, delete nothing
)

// Outcome is a provider's answer to one attempt.
type Outcome struct {
	Verdict    Verdict
	Status     int
	Reason     string
	ProviderID string
	RetryAfter time.Duration // not before; 0: the policy decides
	GoneSince  time.Time     // Gone only: when the provider knew; zero: now
	Lane       bool          // Throttled only: the whole lane waits, not this device alone
	Err        error         // for the log; carries no secret and no token
}

// Counts are the deliveries of a message by state. Accepted is the sum of the
// others at every moment.
type Counts struct {
	Accepted, Pending, Delivered, Failed, Expired, Suppressed, Cancelled int64
}

// Of gives a pointer to the count of a state.
func (c *Counts) Of(s State) *int64 {
	switch s {
	case Delivered:
		return &c.Delivered
	case Failed:
		return &c.Failed
	case Expired:
		return &c.Expired
	case Suppressed:
		return &c.Suppressed
	case Cancelled:
		return &c.Cancelled
	}
	return &c.Pending
}

// MessageState says how far a message has come.
type MessageState string

// The states of a message.
const (
	Scheduled  MessageState = "scheduled"  // its time has not come
	Processing MessageState = "processing" // deliveries are being planned or are pending
	Finished   MessageState = "finished"   // every delivery has its final state
)
