// Package wire holds the JSON documents of the native API, version 1, as
// structs that the door (api/rest) and the Go client share. openapi.yaml is
// their contract; a test holds the two together. No rule lives here.
package wire

import (
	"encoding/json"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// NewDevice is the body of PUT /v1/devices/{device_id}.
type NewDevice struct {
	Platform diaphone.Platform      `json:"platform"`
	Tokens   []NewToken             `json:"tokens,omitempty"`
	UserID   diaphone.UserID        `json:"user_id,omitzero"`
	Channels []diaphone.ChannelName `json:"channels,omitempty"`
	Locale   string                 `json:"locale,omitzero"`
	TimeZone string                 `json:"time_zone,omitzero"`
	Tags     map[string]string      `json:"tags,omitempty"`
}

// NewToken is a token as it is registered. Value, or Subscription of kind webpush,
// is the token itself, in plain strings because it must cross the wire: never
// print one.
type NewToken struct {
	Kind         diaphone.TokenKind   `json:"kind"`
	Value        string               `json:"value,omitzero"`
	Subscription *Subscription        `json:"subscription,omitzero"`
	Environment  diaphone.Environment `json:"environment,omitzero"`
	Topic        string               `json:"topic,omitzero"`
}

// Subscription is what a browser's PushSubscription.toJSON() gives.
type Subscription struct {
	Endpoint       string           `json:"endpoint"`
	ExpirationTime json.RawMessage  `json:"expirationTime,omitzero"` // ignored
	Keys           SubscriptionKeys `json:"keys"`
}

// SubscriptionKeys are the keys of a Subscription, in base64url.
type SubscriptionKeys struct {
	P256DH string `json:"p256dh"`
	Auth   string `json:"auth"`
}

// Device is a registered device.
type Device struct {
	ID        diaphone.DeviceID      `json:"device_id"`
	Platform  diaphone.Platform      `json:"platform"`
	Tokens    []Token                `json:"tokens"`
	UserID    diaphone.UserID        `json:"user_id,omitzero"`
	Channels  []diaphone.ChannelName `json:"channels"`
	Locale    string                 `json:"locale,omitzero"`
	TimeZone  string                 `json:"time_zone,omitzero"`
	Tags      map[string]string      `json:"tags,omitempty"`
	CreatedAt Time                   `json:"created_at"`
	UpdatedAt Time                   `json:"updated_at"`
}

// Token is a registered token. Where it is shown to people, Fingerprint stands
// for Value and Subscription.
type Token struct {
	Kind         diaphone.TokenKind   `json:"kind"`
	Value        string               `json:"value,omitzero"`
	Subscription *Subscription        `json:"subscription,omitzero"`
	Environment  diaphone.Environment `json:"environment,omitzero"`
	Topic        string               `json:"topic,omitzero"`
	Fingerprint  string               `json:"fingerprint"`
	State        TokenState           `json:"state"`
	RegisteredAt Time                 `json:"registered_at"`
	GoneAt       Time                 `json:"gone_at,omitzero"`
	GoneReason   string               `json:"gone_reason,omitzero"`
}

// Page is a bounded piece of a list. NextCursor is empty on the last one.
type Page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitzero"`
}

// NewMessage is the body of POST /v1/messages.
type NewMessage struct {
	To           Audience               `json:"to"`
	Event        *Event                 `json:"event,omitzero"`
	Notification *diaphone.Notification `json:"notification,omitzero"`
	When         diaphone.When          `json:"when,omitzero"`
	Confirm      *Confirm               `json:"confirm,omitzero"`
	SendAt       Time                   `json:"send_at,omitzero"`
}

// Confirm says what proves that a live user has taken a message for those who are away.
type Confirm struct {
	Within float64        `json:"within,omitzero"` // seconds
	By     diaphone.Proof `json:"by,omitzero"`
}

// Audience is who a message is for.
type Audience struct {
	Users    []diaphone.UserID      `json:"users,omitempty"`
	Devices  []diaphone.DeviceID    `json:"devices,omitempty"`
	Channels []diaphone.ChannelName `json:"channels,omitempty"`
}

// Event is what sockets receive. Data is any JSON: a string is delivered as its
// text, anything else as it stands here.
type Event struct {
	Name         string            `json:"name"`
	Data         json.RawMessage   `json:"data,omitzero"`
	ExceptSocket diaphone.SocketID `json:"except_socket,omitzero"`
}

// Past is a piece of a channel's history, oldest first.
type Past struct {
	Data     []PastEvent `json:"data"`
	Position string      `json:"position"` // to go on from
	Complete bool        `json:"complete"` // nothing is missing from where it was asked
}

// PastEvent is an event as the sockets have received it.
type PastEvent struct {
	Name        string `json:"name"`
	Data        string `json:"data"`
	Position    string `json:"position"`
	PublishedAt Time   `json:"published_at"`
}

// Published is the answer to POST /v1/messages.
type Published struct {
	ID     diaphone.MessageID `json:"id"`
	Stored bool               `json:"stored"`
	Counts Counts             `json:"counts"`
}

// Cancellation is the answer to POST /v1/messages/{message_id}/cancel.
type Cancellation struct {
	Cancelled int64 `json:"cancelled"`
	TooLate   int64 `json:"too_late"`
	Unsent    bool  `json:"unsent"`
}

// Preview is the answer to POST /v1/messages?preview=1.
type Preview struct {
	Event         bool                  `json:"event"` // it has one
	Notifications []NotificationPreview `json:"notifications"`
}

// NotificationPreview is a notification as one credential of the app would send it.
type NotificationPreview struct {
	Credential string                `json:"credential"`
	Provider   diaphone.ProviderName `json:"provider"`
	Headers    map[string]string     `json:"headers"`
	Payload    string                `json:"payload"` // JSON, byte by byte
	Size       int                   `json:"size"`    // bytes of Payload
	Limit      int                   `json:"limit"`
	Warnings   []FieldError          `json:"warnings"`
}

// Counts are deliveries by state; the last six sum to Accepted.
type Counts struct {
	Accepted   int64 `json:"accepted"`
	Pending    int64 `json:"pending"`
	Delivered  int64 `json:"delivered"`
	Failed     int64 `json:"failed"`
	Expired    int64 `json:"expired"`
	Suppressed int64 `json:"suppressed"`
	Cancelled  int64 `json:"cancelled"`
}

// NewReceipts is the body of POST /v1/device/receipts.
type NewReceipts struct {
	Receipts []NewReceipt `json:"receipts"`
}

// NewReceipt is one of them.
type NewReceipt struct {
	MessageID diaphone.MessageID   `json:"message_id"`
	Kind      diaphone.ReceiptKind `json:"kind"`
	At        Time                 `json:"at,omitzero"`
}

// Reported is the answer to NewReceipts.
type Reported struct {
	Results []ReportedReceipt `json:"results"`
}

// ReportedReceipt is what has become of one: kept, known or unknown.
type ReportedReceipt struct {
	MessageID diaphone.MessageID   `json:"message_id"`
	Kind      diaphone.ReceiptKind `json:"kind"`
	Result    string               `json:"result"`
}

// ReceiptCounts are how many devices have reported what of a message.
type ReceiptCounts struct {
	Delivered     int64 `json:"delivered"`
	Displayed     int64 `json:"displayed"`
	Opened        int64 `json:"opened"`
	Dismissed     int64 `json:"dismissed"`
	DecryptFailed int64 `json:"decrypt_failed"`
}

// Message is a stored message and how far it has come.
type Message struct {
	ID         diaphone.MessageID    `json:"id"`
	State      diaphone.MessageState `json:"state"`
	Counts     Counts                `json:"counts"`
	Receipts   ReceiptCounts         `json:"receipts"`
	To         Audience              `json:"to"`
	When       diaphone.When         `json:"when"`
	AcceptedAt Time                  `json:"accepted_at"`
	SendAt     Time                  `json:"send_at,omitzero"`
	ExpiresAt  Time                  `json:"expires_at"`
	FinishedAt Time                  `json:"finished_at,omitzero"`

	CancelledAt Time `json:"cancelled_at,omitzero"`
}

// Progress is how far a message has come, as an event of
// GET /v1/messages/{message_id}/progress.
type Progress struct {
	ID          diaphone.MessageID    `json:"id"`
	State       diaphone.MessageState `json:"state"`
	Counts      Counts                `json:"counts"`
	Receipts    ReceiptCounts         `json:"receipts"`
	FinishedAt  Time                  `json:"finished_at,omitzero"`
	CancelledAt Time                  `json:"cancelled_at,omitzero"`
}

// Delivery is one message owed to one device, and its story.
type Delivery struct {
	DeviceID   diaphone.DeviceID     `json:"device_id"`
	Provider   diaphone.ProviderName `json:"provider,omitzero"`
	Credential string                `json:"credential,omitzero"`
	State      diaphone.State        `json:"state"`
	Reason     string                `json:"reason,omitzero"`
	RetryAt    Time                  `json:"retry_at,omitzero"`
	Attempts   []Attempt             `json:"attempts"`
	Receipts   []DeviceReceipt       `json:"receipts,omitempty"`
}

// DeviceReceipt is what a device has reported of a message.
type DeviceReceipt struct {
	Kind       diaphone.ReceiptKind `json:"kind"`
	At         Time                 `json:"at"` // by the device's clock, if that can be
	ReceivedAt Time                 `json:"received_at"`
}

// Attempt is one try of a delivery at its provider.
type Attempt struct {
	At         Time             `json:"at"`
	Verdict    diaphone.Verdict `json:"verdict"`
	Status     int              `json:"status,omitzero"`
	Reason     string           `json:"reason,omitzero"`
	ProviderID string           `json:"provider_id,omitzero"`
	LatencyMS  int64            `json:"latency_ms"`
}

// Problem is how every error of the native API looks (RFC 9457).
type Problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Code      string       `json:"code"`
	Detail    string       `json:"detail"`
	Instance  string       `json:"instance"`
	RequestID string       `json:"request_id"`
	Hint      string       `json:"hint,omitzero"`
	Errors    []FieldError `json:"errors,omitempty"`
}

// FieldError points at one wrong field, parameter or header.
type FieldError struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// Time is written as RFC 3339 in UTC with milliseconds, and read with any zone and
// precision.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// At makes a Time.
func At(t time.Time) Time { return Time{t} }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}
