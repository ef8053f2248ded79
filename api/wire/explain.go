package wire

import "github.com/diaphone-dev/diaphone"

// Explanation is the answer to GET /v1/explain: why a phone did not ring.
type Explanation struct {
	MessageID   diaphone.MessageID `json:"message_id"`
	Because     Meaning            `json:"because"`          // in short
	Message     *Message           `json:"message,omitzero"` // absent: no such message is kept
	Live        *LiveStory         `json:"live,omitzero"`
	Devices     []DeviceStory      `json:"devices"`
	MoreDevices bool               `json:"more_devices"` // the user has more than these
	Words       []Meaning          `json:"words"`        // what the providers have answered
	HistoryKept int64              `json:"history_kept"` // seconds that finished messages are kept
}

// Meaning says in plain words what a code tells, and what to do about it.
type Meaning struct {
	Code  string `json:"code"`
	Means string `json:"means"`
	Do    string `json:"do,omitzero"`
}

// LiveStory is the user on the live side: now, and when the message came.
type LiveStory struct {
	User    User           `json:"user"`
	Because Meaning        `json:"because"`
	By      diaphone.Proof `json:"by,omitzero"`    // what was to prove that the user has taken it
	Until   Time           `json:"until,omitzero"` // no proof counts later
}

// DeviceStory is what a message and a device have to do with each other.
type DeviceStory struct {
	DeviceID   diaphone.DeviceID `json:"device_id"`
	Device     *Device           `json:"device,omitzero"` // absent: it is not registered, or not any more; no token in it has its value
	InAudience bool              `json:"in_audience"`     // as the device is now
	Delivery   *Delivery         `json:"delivery,omitzero"`
	Lane       *Lane             `json:"lane,omitzero"` // of a delivery that is pending
	Because    Meaning           `json:"because"`
	NextAt     Time              `json:"next_at,omitzero"` // of the next step
}

// Lane is how all deliveries of one credential fare at this moment.
type Lane struct {
	Undeclared bool   `json:"undeclared"`
	Paused     bool   `json:"paused"`
	Reason     string `json:"reason,omitzero"` // of the pause
	Since      Time   `json:"since,omitzero"`
	ProbeAt    Time   `json:"probe_at,omitzero"`
	Guarded    bool   `json:"guarded"` // most tokens look dead at once, and none is removed
	SlowUntil  Time   `json:"slow_until,omitzero"`
	InFlight   int    `json:"in_flight"`
	Window     int    `json:"window"` // how many may be in flight now
	Slots      int    `json:"slots"`  // and while the provider is well
	Held       int    `json:"held"`   // taken from the queue, and not begun
}
