package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/app"
)

type devCmd struct {
	Port     int    `help:"Take this port for the gateway and the next two for the simulators." default:"6001"`
	Host     string `help:"Loopback address to listen on." default:"127.0.0.1"`
	DataDir  string `help:"Keep data in this folder; without it a fresh one is used and removed at the end." placeholder:"DIR"`
	LogLevel string `help:"Least level to log: debug, info, warn or error." enum:"debug,info,warn,error" default:"warn"`
}

// Run runs gateway and simulators in one process until a signal.
func (d *devCmd) Run(c *console) (err error) {
	if err := onLoopback(d.Host); err != nil {
		return err
	}
	if d.Port < 1 || d.Port > 65533 {
		return usagef("--port %d: 1 to 65533, because the next two are taken too", d.Port)
	}
	own, err := bind(d.Host, d.Port) // the port that was given is the one to complain of
	if err != nil {
		return err
	}
	own.Close()
	dir := d.DataDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "diaphone-dev-"); err != nil {
			return configFault(err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	sims, err := newSimulators(filepath.Join(dir, "sim"), d.Host, d.Port+1)
	if err != nil {
		return err
	}
	simming, stopSims := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if fault := sims.Serve(simming, sims.http, sims.apns); fault != nil {
			c.note("the simulators failed: %v", fault)
		}
	})
	defer running.Wait()
	defer stopSims()

	config := app.Config{
		Apps: sims.apps, DataDir: dir, Listen: net.JoinHostPort(d.Host, fmt.Sprint(d.Port)),
		DrainFor: time.Second, StopWithin: 10 * time.Second, Retention: 7 * 24 * time.Hour,
		LogLevel: d.LogLevel, LogFormat: "text", EgressAllowCidr: loopback(), PushHosts: []string{sims.host()},
	}
	gateway, err := app.New(config, logger(c.err, &config))
	if err != nil {
		return configFault(err)
	}
	if err := d.addPhones(c.ctx, sims, gateway); err != nil {
		return errors.Join(err, gateway.Close())
	}
	d.banner(c, sims, gateway, dir)
	return runGateway(c, gateway)
}

// loopback are the ranges that the simulators are in.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// addPhones gives the demo user an iPhone, an Android phone and a browser.
func (d *devCmd) addPhones(ctx context.Context, sims *simulators, gateway *app.App) error {
	control := simURL{SimURL: "http://" + sims.http.Addr().String()}
	for _, p := range []struct {
		name, platform string
		kind           diaphone.TokenKind
	}{
		{demoUser + "-iphone", "ios", diaphone.TokenAPNs},
		{demoUser + "-android", "android", diaphone.TokenFCM},
		{demoUser + "-browser", "web", diaphone.TokenWebPush},
	} {
		var added phone
		if err := control.call(ctx, http.MethodPost, "/sim/devices", phone{Name: p.name, Platform: p.platform}, &added); err != nil {
			return fmt.Errorf("add the simulated phone %s: %w", p.name, err)
		}
		tokens := []diaphone.Token{{Kind: p.kind, Value: added.value()}}
		if added.VoIPToken != "" {
			tokens = append(tokens, diaphone.Token{Kind: diaphone.TokenAPNsVoIP, Value: diaphone.Secret(added.VoIPToken)})
		}
		_, _, err := gateway.Gateway().Register(ctx, diaphone.Device{
			App: "1", ID: diaphone.DeviceID(p.name), Platform: diaphone.Platform(p.platform), User: demoUser, Tokens: tokens,
		})
		if err != nil {
			return fmt.Errorf("register %s: %w", p.name, err)
		}
	}
	return nil
}

func (d *devCmd) banner(c *console, sims *simulators, gateway *app.App, dir string) {
	bin := "bin"
	if exe, err := os.Executable(); err == nil {
		bin = filepath.Dir(exe)
	}
	flags, simFlags := "", ""
	if d.Port != 6001 || d.Host != "127.0.0.1" {
		flags = " --server http://" + gateway.Address()
		simFlags = " --sim-url http://" + sims.http.Addr().String()
	}
	fmt.Fprintf(c.out, `
  Diaphone %s, development: loopback only, public keys.

  Native API      http://%[2]s/v1          bearer token %[3]s
  Pusher API      http://%[2]s/apps/1      key %[4]s, secret %[5]s
  WebSocket       ws://%[2]s/app/%[4]s
  API contract    http://%[2]s/openapi.yaml
  Simulated FCM   http://%[6]s        and Web Push; control API under /sim/
  Simulated APNs  https://%[7]s
  Data            %[8]s

  The user %[9]s has a simulated iPhone, Android phone and browser. In a second terminal:

    export PATH=%[10]s:$PATH
    diaphone send user:%[9]s "hello" --wait%[11]s
    diaphone sim inbox ls%[12]s
    diaphone listen news%[11]s &
    diaphone publish news greeting '{"hi":1}'%[11]s

  Ready. Ctrl-C stops it.
`, version, gateway.Address(), demoToken, demoKey, demoSecret, sims.http.Addr(), sims.apns.Addr(), dir, demoUser, bin, flags, simFlags)
}
