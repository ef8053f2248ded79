package main

import (
	"fmt"

	"github.com/diaphone-dev/diaphone/storage/bolt"
)

type salvageCmd struct {
	jsonFlag
	Force bool   `help:"Replace the new file if there is one." env:"-"`
	File  string `arg:"" help:"Damaged store or backup."`
	Out   string `arg:"" help:"File to write: a backup for restore."`
}

// Run saves what can be saved, and says how much that is not.
func (s *salvageCmd) Run(c *console) error {
	if err := needed("file", s.File); err != nil {
		return err
	}
	if err := needed("new file", s.Out); err != nil {
		return err
	}
	done, err := bolt.Salvage(s.File, s.Out, s.Force)
	if err != nil {
		return storeFault(err)
	}
	if s.JSON {
		return c.json(done)
	}
	_, err = fmt.Fprintf(c.out, "salvaged into %s: %d records, among them %d devices and %d messages\nleft out: %d damaged records, and whatever is below %d broken places of pages\nloose ends: %d\n",
		printable(s.Out), done.Records, count(done.Report, "devices"), count(done.Report, "messages"), done.Damaged, done.BrokenPages, done.Report.LooseEnds.Count)
	return err
}
