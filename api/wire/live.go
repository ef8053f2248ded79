package wire

import (
	"encoding/json"

	"github.com/diaphone-dev/diaphone"
)

// OccupiedChannel is a channel that somebody listens to.
type OccupiedChannel struct {
	Name        diaphone.ChannelName `json:"name"`
	Kind        diaphone.ChannelKind `json:"kind"`
	Subscribers int                  `json:"subscribers"`
	Members     *int                 `json:"members,omitzero"` // of a presence channel
}

// Channel is what is known of a channel, whether or not somebody listens to it.
type Channel struct {
	Name        diaphone.ChannelName `json:"name"`
	Kind        diaphone.ChannelKind `json:"kind"`
	Cache       bool                 `json:"cache"` // the last event is kept for those who come later
	Occupied    bool                 `json:"occupied"`
	Subscribers int                  `json:"subscribers"`
	Members     *int                 `json:"members,omitzero"` // of a presence channel
	CachedEvent *CachedEvent         `json:"cached_event,omitzero"`
	History     *ChannelHistory      `json:"history,omitzero"` // absent: none is kept
}

// CachedEvent is what a cache channel sends to a new subscriber.
type CachedEvent struct {
	Name string `json:"name"`
	Data string `json:"data"`
	TTL  int    `json:"ttl"` // seconds that it will be kept yet
}

// ChannelHistory is how much of a channel's past is kept, and where it stands.
type ChannelHistory struct {
	Events   int    `json:"events"` // at most
	For      int    `json:"for"`    // seconds, at most
	Position string `json:"position"`
}

// Member is a user who is in a presence channel.
type Member struct {
	UserID diaphone.UserID `json:"user_id"`
	Info   json.RawMessage `json:"info,omitzero"` // what the backend said of the user when it came
}

// User is how a user is live at this moment.
type User struct {
	ID               diaphone.UserID `json:"user_id"`
	Live             bool            `json:"live"` // the one or the other
	Connections      int             `json:"connections"`
	PresenceChannels int             `json:"presence_channels"`
}

// Disconnected is the answer to POST /v1/users/{user_id}/disconnect.
type Disconnected struct {
	Connections int `json:"disconnected"`
}
