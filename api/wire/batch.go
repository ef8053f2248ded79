package wire

// NewBatch is the body of POST /v1/messages/batch.
type NewBatch struct {
	Messages []BatchMessage `json:"messages"`
}

// BatchMessage is a NewMessage with an idempotency key of its own.
type BatchMessage struct {
	NewMessage
	IdempotencyKey string `json:"idempotency_key,omitzero"`
}

// Batch is the answer to POST /v1/messages/batch.
type Batch struct {
	Refused int           `json:"refused"`
	Data    []BatchResult `json:"data"` // in the order of the messages
}

// BatchResult is what became of one message: either Message or Problem is there.
type BatchResult struct {
	Status   int        `json:"status"` // what POST /v1/messages would have answered
	Message  *Published `json:"message,omitzero"`
	Replayed bool       `json:"replayed,omitzero"`
	Problem  *Problem   `json:"problem,omitzero"`
}
