// Command diaphone is the push-notification gateway, its simulators and its
// command-line client in one binary. Each command has a file of its own.
package main

import (
	"os"
	_ "time/tzdata" // time zones of devices are checked on machines that have no zone files, too
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
