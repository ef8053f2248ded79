package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"

	"github.com/diaphone-dev/diaphone/sim"
)

// The demo app, the same everywhere, so that the defaults of the client
// commands fit. These keys are public; they open loopback listeners only.
const (
	demoKey    = "app-key"
	demoSecret = "app-secret"
	demoToken  = "dp_dev"
	demoUser   = "ana"
)

// demoApps is the apps file that fits running simulators.
var demoApps = template.Must(template.New("apps.yaml").Parse(`# An app whose pushes go to the simulators of diaphone.
apps:
  - id: "1"
    name: demo
    keys:
      - key: {{.Key}}
        secret: {{.Secret}}
    tokens:
      - token: {{.Token}} # in production give sha256 instead
    enrolment: true # installed apps may register themselves (docs/devices.md)
    apns:
      - key_file: {{.KeyFile}} # the key's id is in the file's name
        team_id: {{.Credentials.TeamID}}
        topic: {{.Credentials.Topic}}
        host: https://{{.APNsAddress}} # leave it out for Apple's
        ca_file: {{.CAFile}}           # this too
    fcm:
      - service_account_file: {{.AccountFile}}
        endpoint: http://{{.HTTPAddress}}/v1 # leave it out for Google's
    webpush:
      - key_file: {{.VAPIDKeyFile}} # the simulated browsers have subscribed with its public half
        subject: mailto:ops@example.com
        navigate: https://example.com/
`))

// simulators are a running sim.Sim on two ports of loopback. Each port serves
// everything; by convention the first is HTTP (FCM, Web Push and the control API)
// and the second APNs.
type simulators struct {
	*sim.Sim
	http, apns net.Listener
	apps       string // path of the apps file that fits
}

// host is the literal address that the endpoints of simulated browsers are at.
func (s *simulators) host() string {
	host, _, _ := net.SplitHostPort(s.http.Addr().String())
	return host
}

// newSimulators binds the ports and writes credentials and apps file into dir.
func newSimulators(dir, host string, port int) (*simulators, error) {
	s := &simulators{apps: filepath.Join(dir, "apps.yaml")}
	var err error
	if s.http, err = bind(host, port); err != nil {
		return nil, err
	}
	if s.apns, err = bind(host, port+1); err != nil {
		s.http.Close()
		return nil, err
	}
	if s.Sim, err = sim.New(dir, sim.Options{Address: s.http.Addr().String()}); err == nil {
		err = s.writeApps()
	}
	if err != nil {
		s.http.Close()
		s.apns.Close()
		return nil, err
	}
	return s, nil
}

func bind(host string, port int) (net.Listener, error) {
	address := net.JoinHostPort(host, fmt.Sprint(port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, configFault(fmt.Errorf("cannot listen on %s: %w; another diaphone may be running, choose another --port", address, err))
	}
	return l, nil
}

func (s *simulators) writeApps() error {
	c := s.Credentials()
	var text bytes.Buffer
	err := demoApps.Execute(&text, map[string]any{
		"Key": demoKey, "Secret": demoSecret, "Token": demoToken, "Credentials": c,
		"KeyFile": filepath.Base(c.APNsKeyFile), "CAFile": filepath.Base(c.CAFile), "AccountFile": filepath.Base(c.ServiceAccountFile),
		"VAPIDKeyFile": filepath.Base(c.VAPIDKeyFile),
		"APNsAddress":  s.apns.Addr(), "HTTPAddress": s.http.Addr(),
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.apps, text.Bytes(), 0o600); err != nil {
		return configFault(fmt.Errorf("cannot write the apps file: %w", err))
	}
	return nil
}

// onLoopback refuses hosts that others could reach: the demo keys are public.
func onLoopback(host string) error {
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usagef("--host %s: only loopback (127.0.0.1, ::1, localhost), because the demo keys are public; `diaphone serve` is for the world", host)
}
