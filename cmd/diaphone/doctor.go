package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/app"
	"github.com/diaphone-dev/diaphone/providers"
)

type doctorCmd struct {
	jsonFlag
	app.Config
	Timeout time.Duration `help:"How long to wait for each provider." default:"15s" env:"-"`
}

// diagnosis is what doctor --json prints.
type diagnosis struct {
	Checks   []app.Check `json:"checks"`
	Faults   int         `json:"faults"`
	Unknown  int         `json:"unknown"` // what could not be asked
	Warnings int         `json:"warnings"`
}

// Run makes all checks and prints a line for each. Faults have an exit code; what
// only could not be asked has another.
func (k *doctorCmd) Run(c *console) error {
	if k.Timeout <= 0 {
		return usagef("--timeout %s: more than 0", k.Timeout)
	}
	doctor := app.Doctor{Config: k.Config, Patience: k.Timeout, Public: []diaphone.Secret{demoToken, demoSecret}}
	d := diagnosis{Checks: doctor.Examine(c.ctx)}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	for _, check := range d.Checks {
		switch check.Grade {
		case providers.Faulty:
			d.Faults++
		case app.Unasked:
			d.Unknown++
		case providers.Doubtful:
			d.Warnings++
		case providers.Sound:
		}
	}
	if err := k.print(c, &d); err != nil {
		return err
	}
	sum := fmt.Sprintf("faults: %d, unknown: %d, warnings: %d", d.Faults, d.Unknown, d.Warnings)
	switch {
	case d.Faults > 0:
		return failf(exitConfig, "%s", sum)
	case d.Unknown > 0:
		return failf(exitUnavailable, "%s", sum)
	case d.Warnings > 0:
		c.note("%s", sum)
	}
	return nil
}

func (k *doctorCmd) print(c *console, d *diagnosis) error {
	if k.JSON {
		return c.json(d)
	}
	for i := range d.Checks {
		check := &d.Checks[i]
		_, err := fmt.Fprintf(c.out, "%-8s %-16s %s\n", check.Grade, subject(check), printable(oneLine.Replace(check.Detail)))
		if err == nil && check.Advice != "" {
			_, err = fmt.Fprintf(c.out, "%-8s %-16s → %s\n", "", "", printable(oneLine.Replace(check.Advice)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// subject names what a check is about: 1/apns for a credential of app 1.
func subject(c *app.Check) string {
	name := strings.ReplaceAll(c.What, "_", " ")
	switch {
	case c.Credential != "":
		return string(c.App) + "/" + c.Credential
	case c.App != "":
		return string(c.App) + ", " + name
	}
	return name
}
