package main

import (
	"fmt"

	"github.com/diaphone-dev/diaphone"
)

type cancelCmd struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the message, as send prints it."`
}

// Run takes a message back.
func (d *cancelCmd) Run(c *console) error {
	if err := needed("message id", d.ID); err != nil {
		return err
	}
	api, err := d.client()
	if err != nil {
		return err
	}
	done, err := api.Cancel(c.ctx, diaphone.MessageID(d.ID))
	if err != nil {
		return err
	}
	switch {
	case d.JSON:
		err = c.json(done)
	case done.Unsent:
		_, err = fmt.Fprintf(c.out, "%s cancelled; nothing of it went out\n", printable(d.ID))
	default:
		_, err = fmt.Fprintf(c.out, "%s: %d deliveries cancelled, %d too late\n", printable(d.ID), done.Cancelled, done.TooLate)
	}
	if err == nil && done.TooLate > 0 {
		return failf(exitPartial, "too late for %d of %d deliveries", done.TooLate, done.Cancelled+done.TooLate)
	}
	return err
}
