package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// ExplainUser tells why the phones of a user did not ring for a message. What a person
// who asks would take for an answer, such as that there is no such message, is no error.
func (c *Client) ExplainUser(ctx context.Context, id diaphone.MessageID, u diaphone.UserID) (wire.Explanation, error) {
	return c.explain(ctx, url.Values{"message": {string(id)}, "user": {string(u)}})
}

// ExplainDevice tells why one device did not ring for a message, as ExplainUser does.
func (c *Client) ExplainDevice(ctx context.Context, id diaphone.MessageID, d diaphone.DeviceID) (wire.Explanation, error) {
	return c.explain(ctx, url.Values{"message": {string(id)}, "device": {string(d)}})
}

func (c *Client) explain(ctx context.Context, q url.Values) (wire.Explanation, error) {
	var x wire.Explanation
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/explain", query: q}, &x)
	return x, err
}
