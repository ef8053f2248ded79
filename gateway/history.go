package gateway

import (
	"context"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Message tells how far a stored message has come, or NotFound.
func (g *Gateway) Message(ctx context.Context, app diaphone.AppID, id diaphone.MessageID) (storage.MessageReport, error) {
	return g.parts.History.Message(ctx, app, id)
}

// Deliveries gives a page of a message's deliveries with all their attempts.
func (g *Gateway) Deliveries(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, page storage.Page) ([]storage.DeliveryReport, string, error) {
	return g.parts.History.Deliveries(ctx, app, id, page)
}
