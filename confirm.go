package diaphone

import "time"

// Confirmation says what proves that a live user has taken a message, and how long
// the proof may take before the phone is tried. The zero value means the app's
// choice, and the defaults where the app has none.
type Confirmation struct {
	Within time.Duration // default DefaultConfirmWithin
	By     Proof         // default ByPong
}

// Limits of a Confirmation. The longest is well below the lease of a delivery that
// waits for its proof.
const (
	DefaultConfirmWithin = 3 * time.Second
	MinConfirmWithin     = 100 * time.Millisecond
	MaxConfirmWithin     = 30 * time.Second
)

// Proof is what counts.
type Proof string

// The proofs.
const (
	// ByPong is the answer to a WebSocket ping right behind the event: frames are in
	// order, so the client's WebSocket stack has taken the event when it comes. Every
	// client answers by itself (RFC 6455 §5.5.2).
	ByPong Proof = "pong"
	// ByReceipt is the app's own word, which not even a stack that works for an app
	// that hangs can give.
	ByReceipt Proof = "receipt"
)

// Or fills in what c leaves open.
func (c Confirmation) Or(otherwise Confirmation) Confirmation {
	if c.Within == 0 {
		c.Within = otherwise.Within
	}
	if c.By == "" {
		c.By = otherwise.By
	}
	return c
}

// InForce fills in the defaults.
func (c Confirmation) InForce() Confirmation {
	return c.Or(Confirmation{Within: DefaultConfirmWithin, By: ByPong})
}

func (c Confirmation) validate(f *fieldErrors) {
	if c.Within != 0 && (c.Within < MinConfirmWithin || c.Within > MaxConfirmWithin) {
		f.addf("/confirm/within", "out_of_range", "within is %g to %g seconds, this is %g",
			MinConfirmWithin.Seconds(), MaxConfirmWithin.Seconds(), c.Within.Seconds())
	}
	if c.By != "" && c.By != ByPong && c.By != ByReceipt {
		f.addf("/confirm/by", "unknown_value", "by %q: use %s or %s", word(string(c.By)), ByPong, ByReceipt)
	}
}

// Awaited is a message of which it is to be known which users have taken it.
type Awaited struct {
	Message MessageID
	By      Proof
	Until   time.Time // no proof counts later
}

// Taking is how a user is known to have a message, in the word that is then the reason
// why a phone of theirs was spared. Empty: it is not known.
type Taking string

// The takings.
const (
	TakenLive      Taking = "taken_live"      // a socket has proved it
	TakenElsewhere Taking = "taken_elsewhere" // another device of theirs reports it
)
