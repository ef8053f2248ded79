package main

import (
	"fmt"

	"github.com/diaphone-dev/diaphone/app"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

type restoreCmd struct {
	folder
	Force  bool   `help:"If there is a store, keep it under another name beside the new one." env:"-"`
	Backup string `arg:"" help:"Backup to restore."`
}

// Run makes a backup the store of a gateway that does not run.
func (r *restoreCmd) Run(c *console) error {
	if err := needed("backup", r.Backup); err != nil {
		return err
	}
	report, aside, err := bolt.Restore(r.Backup, app.StorePath(r.DataDir), r.Force)
	if err != nil {
		return storeFault(err)
	}
	if aside != "" {
		c.note("the store that was there is now %s", aside)
	}
	_, err = fmt.Fprintf(c.out, "restored as of %s: %d devices, %d messages\n",
		report.TakenAt.Format("2006-01-02 15:04:05 MST"), count(report, "devices"), count(report, "messages"))
	return err
}
