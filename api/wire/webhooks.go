package wire

import "github.com/diaphone-dev/diaphone"

// Webhook is an address of the app's backend, and how it fares.
type Webhook struct {
	Name            string                `json:"name"`
	Declared        bool                  `json:"declared"` // false: a queue that a webhook of earlier left behind
	Format          diaphone.WebhookForm  `json:"format,omitzero"`
	Host            string                `json:"host,omitzero"`
	Events          []diaphone.NoticeKind `json:"events"`
	ChannelPrefixes []string              `json:"channel_prefixes"` // none: all channels
	Pending         int64                 `json:"pending"`
	DeadLetters     int64                 `json:"dead_letters"`
	LastSequence    uint64                `json:"last_sequence"`
	OldestPendingAt Time                  `json:"oldest_pending_at,omitzero"`
	FailingSince    Time                  `json:"failing_since,omitzero"`
	NextAttemptAt   Time                  `json:"next_attempt_at,omitzero"`
	LastStatus      int                   `json:"last_status,omitzero"`
	LastError       string                `json:"last_error,omitzero"`
}

// DeadLetter is what a webhook could not be told, in Pusher's words.
type DeadLetter struct {
	Sequence          uint64               `json:"sequence"`
	ID                string               `json:"id"`
	HappenedAt        Time                 `json:"happened_at"`
	BuriedAt          Time                 `json:"buried_at"`
	Reason            string               `json:"reason"`
	Name              diaphone.NoticeKind  `json:"name"`
	Channel           diaphone.ChannelName `json:"channel,omitzero"` // empty: it is about none
	UserID            diaphone.UserID      `json:"user_id,omitzero"`
	SocketID          diaphone.SocketID    `json:"socket_id,omitzero"`
	Event             string               `json:"event,omitzero"`
	Data              string               `json:"data,omitzero"` // of what is about no channel: a JSON object
	SubscriptionCount int                  `json:"subscription_count,omitzero"`
}

// Chosen is the body of POST /v1/webhooks/{name}/dead-letters/resend. nil: all.
type Chosen struct {
	Sequences []uint64 `json:"sequences,omitempty"`
}

// Handled tells how many dead letters were resent or discarded.
type Handled struct {
	Count int  `json:"count"`
	More  bool `json:"more"` // ask again
}
