package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the whole command line. Flags, environment variables (DIAPHONE_…) and
// keys of the configuration file are the same thing, by construction.
type cli struct {
	Config kong.ConfigFlag  `help:"YAML file with any of the flags below as keys." placeholder:"FILE"`
	Shown  kong.VersionFlag `name:"version" help:"Print the version." env:"-"`

	Dev     devCmd     `cmd:"" help:"Run a gateway with simulated phones, to try everything without an account."`
	Serve   serveCmd   `cmd:"" help:"Run the gateway."`
	Sim     simCmd     `cmd:"" help:"Run the simulators of APNs, FCM and Web Push alone, or look into running ones."`
	Send    sendCmd    `cmd:"" help:"Send a notification to users, devices or channels."`
	Cancel  cancelCmd  `cmd:"" help:"Take a message back, as far as it has not gone out."`
	Explain explainCmd `cmd:"" help:"Tell why a phone did not ring."`
	Watch   watchCmd   `cmd:"" help:"Follow a message until it has finished."`
	Publish publishCmd `cmd:"" help:"Publish an event to whoever listens live on a channel."`
	Listen  listenCmd  `cmd:"" help:"Subscribe to channels over the WebSocket and print each event as a line of JSON."`
	Devices devicesCmd `cmd:"" help:"Register, list and remove devices."`
	Keys    keysCmd    `cmd:"" help:"Make keys."`

	Batch    batchCmd    `cmd:"" help:"Publish many messages: each line of a file is one, as JSON."`
	Channels channelsCmd `cmd:"" help:"See who listens to channels."`
	Users    usersCmd    `cmd:"" help:"See whether users are live, end their connections, and erase them."`
	Webhooks webhooksCmd `cmd:"" help:"See how webhooks fare, and send again what they could not be told."`
	History  historyCmd  `cmd:"" help:"List what a channel has had."`

	Backup  backupCmd  `cmd:"" help:"Save the store to a file, while the gateway runs or not."`
	Check   checkCmd   `cmd:"" help:"Read a backup, or the store of a stopped gateway, and tell what is wrong with it."`
	Restore restoreCmd `cmd:"" help:"Make a backup the store of a stopped gateway."`
	Salvage salvageCmd `cmd:"" help:"Make a backup of what can still be read of a damaged store."`

	Conf    configCmd  `cmd:"" name:"config" help:"Check the configuration of serve and print it, secrets masked."`
	Doctor  doctorCmd  `cmd:"" help:"Ask each provider whether it takes its credential, look at clock, disk, files, port and certificates, and say what to do."`
	Bench   benchCmd   `cmd:"" help:"Measure a running gateway."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// console is what a command may touch of the outside.
type console struct {
	ctx   context.Context // ends at the first SIGINT or SIGTERM
	hurry context.Context // ends at the second
	in    io.Reader
	out   io.Writer // data
	err   io.Writer // everything meant for a person
}

// run parses the arguments, runs the command and gives the exit code.
func run(args []string, in io.Reader, out, errw io.Writer) int {
	c := &console{in: in, out: out, err: errw}
	exit := -1
	var flags cli
	parser, err := kong.New(&flags,
		kong.Name("diaphone"),
		kong.Description("A push-notification gateway: live over Pusher Channels, asleep over APNs, FCM and Web Push.\n\nThe defaults of all client commands are those of `diaphone dev`."),
		kong.DefaultEnvars("DIAPHONE"),
		kong.Configuration(yamlResolver),
		kong.Writers(out, errw),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(code int) { exit = code }),
		kong.Vars{"version": version},
	)
	if err != nil {
		return c.fail(err)
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help has been printed
		return exit
	}
	if err != nil {
		return c.fail(usage(explainUse(err)))
	}
	stop := c.watchSignals()
	defer stop()
	if err := command.Run(c); err != nil {
		return c.fail(err)
	}
	return exitOK
}

// watchSignals makes the two contexts of a console.
func (c *console) watchSignals() (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	hurry, cancelHurry := context.WithCancel(context.Background())
	c.ctx, c.hurry = ctx, hurry
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		for _, end := range []context.CancelFunc{cancel, cancelHurry} {
			select {
			case <-signals:
				end()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-finished
		cancel()
		cancelHurry()
	}
}
