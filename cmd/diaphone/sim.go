package main

import (
	"fmt"
)

type simCmd struct {
	Run     simRunCmd     `cmd:"" default:"withargs" help:"Run the simulators (the default)."`
	Inbox   simInboxCmd   `cmd:"" help:"Look at what the phones would show."`
	Devices simDevicesCmd `cmd:"" help:"Simulated phones."`
	Faults  simFaultsCmd  `cmd:"" help:"Make the vendors misbehave."`
}

type simRunCmd struct {
	Dir  string `help:"Folder for the credentials and the apps file that fit; created when missing." default:"sim" placeholder:"DIR"`
	Port int    `help:"Take this port and the next." default:"6002" env:"DIAPHONE_SIM_PORT"`
	Host string `help:"Loopback address to listen on." default:"127.0.0.1"`
}

// Run runs the simulators until a signal.
func (s *simRunCmd) Run(c *console) error {
	if err := onLoopback(s.Host); err != nil {
		return err
	}
	if s.Port < 1 || s.Port > 65534 {
		return usagef("--port %d: 1 to 65534, because the next one is taken too", s.Port)
	}
	sims, err := newSimulators(s.Dir, s.Host, s.Port)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, `Simulators are running.
  FCM, OAuth and control API  http://%[1]s
  Web Push, for a browser     ws://%[1]s/push
  APNs                        https://%[2]s
  credentials and apps file   %[3]s

Next, in a second terminal:
  diaphone serve --apps %[4]s --data-dir data --egress-allow-cidr 127.0.0.0/8 --push-hosts %[5]s
`, sims.http.Addr(), sims.apns.Addr(), s.Dir, sims.apps, sims.host())
	if err != nil {
		return err
	}
	return sims.Serve(c.ctx, sims.http, sims.apns)
}
