package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Report keeps what an installation reports of messages, and tells what has become of
// each receipt, in order. One that says that the user has the message spares what still
// waits for the user's other devices. Nobody but the device itself can report: a backend
// knows no more of a phone than we do.
func (g *Gateway) Report(ctx context.Context, i *Installation, receipts []diaphone.Receipt) ([]storage.ReceiptFate, error) {
	if err := checkReceipts(receipts); err != nil {
		return nil, err
	}
	now := time.Now()
	r, err := g.parts.Receipts.Report(ctx, i.App.ID, i.Device.ID, receipts, now)
	if diaphone.CodeOf(err) == diaphone.NotFound { // it has ended since it proved itself
		return nil, notRecognised(RefusedSecret)
	}
	if err != nil {
		return nil, fmt.Errorf("keep receipts: %w", err)
	}
	fates := make([]storage.ReceiptFate, len(receipts))
	for n, a := range r.Answers {
		fates[n] = a.Fate
		if g.parts.Reported != nil {
			g.parts.Reported(i.App.ID, receipts[n].Kind, a.Fate)
		}
		if a.Fate == storage.ReceiptKept {
			g.Changed(i.App.ID, receipts[n].Message)
		}
		if m := a.Message; m != nil && !a.Finished && m.When == diaphone.Away && receipts[n].Kind.Confirms() && a.User != "" && now.Before(m.Expires) {
			g.parts.Live.Confirm(i.App.ID, m.ID, a.User)
		}
	}
	return fates, nil
}

func checkReceipts(receipts []diaphone.Receipt) error {
	if len(receipts) == 0 || len(receipts) > diaphone.MaxReceipts {
		return diaphone.InvalidField("/receipts", "out_of_range", "report 1 to %d receipts at a time, these are %d", diaphone.MaxReceipts, len(receipts))
	}
	kinds := diaphone.ReceiptKinds()
	for n, r := range receipts {
		if !slices.Contains(kinds, r.Kind) {
			words := make([]string, len(kinds))
			for i, k := range kinds {
				words[i] = string(k)
			}
			return diaphone.InvalidField(fmt.Sprintf("/receipts/%d/kind", n), "unknown_value", "there is no such kind; there are %s", strings.Join(words, ", "))
		}
	}
	return nil
}
