package main

import (
	"encoding/json"
	"fmt"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

type watchCmd struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the message, as send prints it."`
}

// Run prints a line whenever something of the message changes, until it has finished. Its
// exit code is that of send --wait.
func (w *watchCmd) Run(c *console) error {
	if err := needed("message id", w.ID); err != nil {
		return err
	}
	api, err := w.client()
	if err != nil {
		return err
	}
	var last wire.Progress
	told := ""
	for p, err := range api.Watch(c.ctx, diaphone.MessageID(w.ID)) {
		if err != nil {
			return err
		}
		last = p
		if w.JSON {
			err = json.NewEncoder(c.out).Encode(p) // a line each
		} else if line := progressLine(&p); line != told {
			told = line
			_, err = fmt.Fprintln(c.out, line)
		}
		if err != nil {
			return err
		}
	}
	if n := last.Counts; n.Failed+n.Expired > 0 {
		return failf(exitPartial, "%d of %d deliveries failed", n.Failed+n.Expired, n.Accepted)
	}
	return nil
}

func progressLine(p *wire.Progress) string {
	n, r := &p.Counts, &p.Receipts
	line := fmt.Sprintf("%-10s  %d pending, %d delivered, %d failed, %d expired, %d suppressed, %d cancelled; phones report %d delivered, %d displayed, %d opened, %d dismissed, %d not decrypted",
		p.State, n.Pending, n.Delivered, n.Failed, n.Expired, n.Suppressed, n.Cancelled, r.Delivered, r.Displayed, r.Opened, r.Dismissed, r.DecryptFailed)
	if !p.CancelledAt.IsZero() {
		line += "; cancelled at " + moment(p.CancelledAt)
	}
	return line
}
