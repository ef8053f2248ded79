// Package providers is the contract of a push provider: one attempt, one
// answer. Providers live in sub-folders and all pass the suite in providertest.
package providers

import (
	"context"

	"github.com/diaphone-dev/diaphone"
)

// Provider sends notifications through one provider account (one credential).
// It never retries, never sleeps and remembers nothing of a delivery; pacing,
// retry and expiry belong to package push. All methods may be called concurrently.
type Provider interface {
	// Send makes one attempt and waits for its answer, until ctx ends. It never
	// panics and always gives a verdict; without any answer that is Retry. No text
	// in the Outcome carries a token or a key.
	Send(ctx context.Context, d *diaphone.Delivery) diaphone.Outcome
	// Render gives what Send would put on the wire for the message, without token
	// and credential. An *diaphone.Error points at the field of the notification
	// that this provider cannot carry; TooLarge: over Limit, with the byte count.
	Render(m *diaphone.Message) (Rendered, error)
	// Probe asks the provider whether it takes the credential, without any device:
	// with a push to a token that nobody has, so that the kind of refusal tells. It
	// waits until ctx ends, and shows nothing on any phone. Where a provider can only
	// be asked for a device, as with Web Push, it checks what can be checked here.
	Probe(ctx context.Context) Finding
	// Close ends all connections. Attempts under way end with Retry.
	Close() error
}

// Rendered is one notification as a provider would be sent it.
type Rendered struct {
	Header  map[string]string // vendor headers that depend on the message
	Payload []byte            // JSON
	Limit   int               // the provider's limit on Payload, in bytes
}
