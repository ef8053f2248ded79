package device

import (
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// report takes in what has become of messages on the device.
func (d *Door) report(c *call) error {
	body, err := strict.Body(c, MaxBody)
	if err != nil {
		return err
	}
	in, err := strict.Decode[wire.NewReceipts](body)
	if err != nil {
		return err
	}
	receipts := make([]diaphone.Receipt, len(in.Receipts))
	for i, r := range in.Receipts {
		receipts[i] = diaphone.Receipt{Message: r.MessageID, Kind: r.Kind, At: r.At.Time}
	}
	fates, err := d.gateway.Report(c.ctx(), c.installation, receipts)
	if err != nil {
		return err
	}
	out := wire.Reported{Results: make([]wire.ReportedReceipt, len(fates))}
	for i, fate := range fates {
		out.Results[i] = wire.ReportedReceipt{MessageID: receipts[i].Message, Kind: receipts[i].Kind, Result: string(fate)}
	}
	return c.JSON(http.StatusOK, out)
}
