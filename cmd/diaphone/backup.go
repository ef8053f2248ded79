package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/diaphone-dev/diaphone/app"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// folder is on every command that works on the store itself.
type folder struct {
	DataDir string `help:"Folder of the store." default:"data" placeholder:"DIR"`
}

type backupCmd struct {
	folder
	jsonFlag
	Force bool   `help:"Replace the file if there is one." env:"-"`
	File  string `arg:"" help:"File to write, for this user's eyes only."`
}

// saved is what backup prints.
type saved struct {
	File     string  `json:"file"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Messages int64   `json:"messages"`
	Devices  int64   `json:"devices"`
}

// Run saves the store, and checks what has been saved before it gets its name.
func (b *backupCmd) Run(c *console) error {
	if err := needed("file", b.File); err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Dir(b.File)); err != nil || !info.IsDir() {
		return failf(exitNotFound, "there is no folder %s for the backup", filepath.Dir(b.File))
	}
	begun := time.Now()
	report, err := bolt.SaveBackup(b.File, b.Force, func(to io.Writer) error {
		p := &progress{c: c, to: to, told: begun}
		return app.Backup(c.ctx, b.DataDir, p, func(bytes int64) { p.of = bytes })
	})
	if err != nil {
		return storeFault(err)
	}
	done := saved{b.File, report.Bytes, time.Since(begun).Seconds(), count(report, "messages"), count(report, "devices")}
	if n := report.LooseEnds.Count; n > 0 {
		c.note("the store has %d loose ends, and so has the backup: `diaphone check %s` lists them", n, b.File)
	}
	if b.JSON {
		return c.json(done)
	}
	_, err = fmt.Fprintf(c.out, "saved and checked: %s, %s in %.1f s, %d devices, %d messages\n",
		printable(done.File), size(done.Bytes), done.Seconds, done.Devices, done.Messages)
	return err
}

// progress tells of what passes, every other second.
type progress struct {
	c    *console
	to   io.Writer
	n    int64
	of   int64
	told time.Time
}

const progressEvery = 2 * time.Second

func (p *progress) Write(b []byte) (int, error) {
	if err := p.c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.to.Write(b)
	p.n += int64(n)
	if time.Since(p.told) >= progressEvery {
		p.told = time.Now()
		p.c.note("%s of %s", size(p.n), size(p.of))
	}
	return n, err
}

func count(r *bolt.Report, bucket string) int64 {
	for _, b := range r.Buckets {
		if b.Name == bucket {
			return b.Records
		}
	}
	return 0
}

func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
}

// storeFault gives the errors of work on the store itself their exit codes.
func storeFault(err error) error {
	switch {
	case errors.Is(err, bolt.ErrDamaged), errors.Is(err, bolt.ErrNoStore), errors.Is(err, bolt.ErrUnsealed):
		return &coded{exitDamaged, err}
	case errors.Is(err, bolt.ErrExists):
		return &coded{exitConflict, fmt.Errorf("%w; --force replaces it", err)}
	case errors.Is(err, bolt.ErrInUse), errors.Is(err, app.ErrBusy):
		return &coded{exitConflict, err}
	case errors.Is(err, fs.ErrNotExist):
		return &coded{exitNotFound, err}
	}
	return err
}
