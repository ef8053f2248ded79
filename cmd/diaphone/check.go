package main

import (
	"fmt"

	"github.com/diaphone-dev/diaphone/app"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

type checkCmd struct {
	folder
	jsonFlag
	File string `arg:"" optional:"" help:"Backup, or store file; without it, the store in the data folder."`
}

// Run reads a whole store and says what is in it and what is wrong with it.
func (k *checkCmd) Run(c *console) error {
	path := k.File
	if path == "" {
		path = app.StorePath(k.DataDir)
	}
	report, err := bolt.Inspect(path)
	if err != nil {
		return storeFault(err)
	}
	if k.JSON {
		err = c.json(report)
	} else {
		err = c.report(report)
	}
	if err == nil && !report.Clean() {
		err = failf(exitDamaged, "%s: %d damaged places, %d loose ends", path, report.Damage.Count, report.LooseEnds.Count)
	}
	return err
}

func (c *console) report(r *bolt.Report) error {
	rows := make([][]string, len(r.Buckets))
	for i, b := range r.Buckets {
		rows[i] = []string{b.Name, fmt.Sprint(b.Records), size(b.Bytes)}
	}
	if err := c.table("RECORDS NUMBER SIZE", rows); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n%s: %s, schema %d\n", printable(r.Path), size(r.Bytes), r.Schema)
	if r.TakenAt != nil {
		fmt.Fprintf(c.out, "a backup of %s; its seal: %s\n", r.TakenAt.Format("2006-01-02 15:04:05 MST"), r.Seal)
	}
	if r.Quarantined > 0 {
		fmt.Fprintf(c.out, "%d records in quarantine: damaged, and put aside by the gateway when it came upon them\n", r.Quarantined)
	}
	if !r.Complete {
		fmt.Fprintln(c.out, "some pages cannot be read: the numbers leave out what is in them, and records were not compared")
	}
	c.faults("damage", r.Damage)
	c.faults("loose ends", r.LooseEnds)
	if r.Clean() {
		fmt.Fprintln(c.out, "nothing is wrong")
	}
	return nil
}

func (c *console) faults(heading string, f bolt.Faults) {
	if f.Count == 0 {
		return
	}
	fmt.Fprintf(c.out, "%s:\n", heading)
	for _, one := range f.First {
		fmt.Fprintf(c.out, "  %s: %s\n", one.Place, printable(one.What))
	}
	if more := f.Count - int64(len(f.First)); more > 0 {
		fmt.Fprintf(c.out, "  and %d more\n", more)
	}
}
