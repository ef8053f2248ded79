package rest

import (
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

func (d *Door) deliveries(c *call) error {
	id, err := c.messageID()
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	found, next, err := d.gateway.Deliveries(c.ctx(), c.app.ID, id, p)
	if err != nil {
		return err
	}
	out := wire.Page[wire.Delivery]{Data: make([]wire.Delivery, len(found)), NextCursor: next}
	for i := range found {
		out.Data[i] = deliveryOut(c.app, &found[i])
	}
	c.linkNext(next)
	return c.reply(http.StatusOK, out)
}

func deliveryOut(app *diaphone.App, r *storage.DeliveryReport) wire.Delivery {
	out := wire.Delivery{
		DeviceID: r.Device, Credential: r.Lane.Credential, State: r.State, Reason: r.Reason,
		RetryAt: wire.At(r.RetryAt), Attempts: make([]wire.Attempt, len(r.Attempts)),
	}
	for _, c := range app.Credentials {
		if c.Name == r.Lane.Credential {
			out.Provider = c.Provider
		}
	}
	for i, a := range r.Attempts {
		out.Attempts[i] = wire.Attempt{
			At: wire.At(a.At), Verdict: a.Verdict, Status: a.Status, Reason: a.Reason,
			ProviderID: a.ProviderID, LatencyMS: a.Latency.Milliseconds(),
		}
	}
	for _, x := range r.Receipts {
		out.Receipts = append(out.Receipts, wire.DeviceReceipt{Kind: x.Kind, At: wire.At(x.At), ReceivedAt: wire.At(x.Came)})
	}
	return out
}
