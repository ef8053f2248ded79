package main

import (
	"fmt"
	"runtime"
)

type versionCmd struct {
	jsonFlag
}

// Run prints what this binary is.
func (v *versionCmd) Run(c *console) error {
	info := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if v.JSON {
		return c.json(info)
	}
	_, err := fmt.Fprintf(c.out, "diaphone %s (%s, %s)\n", info["version"], info["go"], info["platform"])
	return err
}
