package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// simURL says which simulator a command talks to.
type simURL struct {
	SimURL string `help:"URL of the simulators." default:"http://127.0.0.1:6002" placeholder:"URL"`
}

// phone is a simulated phone, as the simulators' control API has it.
type phone struct {
	Name         string             `json:"name"`
	Platform     string             `json:"platform"`
	Token        string             `json:"token,omitempty"`
	VoIPToken    string             `json:"voip_token,omitempty"`
	State        string             `json:"state,omitempty"`
	Environment  string             `json:"environment,omitempty"`
	Subscription *wire.Subscription `json:"subscription,omitempty"`
}

// value is the token as the gateway knows it.
func (p *phone) value() diaphone.Secret {
	if s := p.Subscription; s != nil {
		return diaphone.SubscriptionToken(s.Endpoint, s.Keys.P256DH, s.Keys.Auth)
	}
	return diaphone.Secret(p.Token)
}

// shown is one notification in the inbox of a simulated phone.
type shown struct {
	Device     string          `json:"device"`
	Provider   string          `json:"provider"`
	Title      string          `json:"title"`
	Body       string          `json:"body"`
	Headers    json.RawMessage `json:"headers"`
	Payload    json.RawMessage `json:"payload"`
	ReceivedAt time.Time       `json:"received_at"`
}

// call makes one call of the control API.
func (s *simURL) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.SimURL, "/")+path, body)
	if err != nil {
		return usage(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return failf(exitUnavailable, "the simulators do not answer: %w; is `diaphone dev` or `diaphone sim` running there? --sim-url says where to look", err)
	}
	if err != nil {
		return fmt.Errorf("the simulators do not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		var refusal struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &refusal) != nil || refusal.Error == "" {
			refusal.Error = resp.Status
		}
		return failf(exitOfStatus(resp.StatusCode), "%s", refusal.Error)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, out)
}

type simInboxCmd struct {
	Ls    simInboxLsCmd    `cmd:"" help:"What each phone would show, newest first."`
	Clear simInboxClearCmd `cmd:"" help:"Empty the inboxes."`
}

type simInboxLsCmd struct {
	simURL
	jsonFlag
	Device string `help:"Only this phone's." placeholder:"NAME" env:"-"`
	Limit  int    `help:"List at most so many." default:"100" env:"-"`
}

// Run lists inboxes.
func (s *simInboxLsCmd) Run(c *console) error {
	query := url.Values{"limit": {fmt.Sprint(s.Limit)}}
	if s.Device != "" {
		query.Set("device", s.Device)
	}
	inbox := struct {
		Data []shown `json:"data"`
	}{Data: []shown{}}
	if err := s.call(c.ctx, http.MethodGet, "/sim/inbox?"+query.Encode(), nil, &inbox); err != nil {
		return err
	}
	if s.JSON {
		return c.json(inbox.Data)
	}
	rows := make([][]string, len(inbox.Data))
	for i, n := range inbox.Data {
		rows[i] = []string{clock(n.ReceivedAt), n.Device, n.Provider, n.Title, n.Body}
	}
	return c.table("RECEIVED DEVICE PROVIDER TITLE BODY", rows)
}

type simInboxClearCmd struct {
	simURL
}

// Run empties inboxes.
func (s *simInboxClearCmd) Run(c *console) error {
	return s.call(c.ctx, http.MethodDelete, "/sim/inbox", nil, nil)
}

type simDevicesCmd struct {
	Ls  simDevicesLsCmd  `cmd:"" help:"List simulated phones."`
	Add simDevicesAddCmd `cmd:"" help:"Add a simulated phone and show it with its token."`
	Set simDevicesSetCmd `cmd:"" help:"Switch a phone online or offline, or uninstall the app on it."`
}

type simDevicesLsCmd struct {
	simURL
	jsonFlag
}

// Run lists phones.
func (s *simDevicesLsCmd) Run(c *console) error {
	list := struct {
		Data []phone `json:"data"`
	}{Data: []phone{}}
	if err := s.call(c.ctx, http.MethodGet, "/sim/devices", nil, &list); err != nil {
		return err
	}
	if s.JSON {
		return c.json(list.Data)
	}
	return printPhones(c, list.Data)
}

func printPhones(c *console, phones []phone) error {
	rows := make([][]string, len(phones))
	for i, p := range phones {
		rows[i] = []string{p.Name, p.Platform, p.State, p.Environment, p.value().Reveal()}
	}
	return c.table("DEVICE PLATFORM STATE ENVIRONMENT TOKEN", rows)
}

type simDevicesAddCmd struct {
	simURL
	jsonFlag
	Name     string `arg:"" help:"Name of the phone."`
	Platform string `arg:"" help:"ios, android or web." enum:"ios,android,web"`
}

// Run adds a phone.
func (s *simDevicesAddCmd) Run(c *console) error {
	var p phone
	if err := s.call(c.ctx, http.MethodPost, "/sim/devices", phone{Name: s.Name, Platform: s.Platform}, &p); err != nil {
		return err
	}
	if s.JSON {
		return c.json(p)
	}
	return printPhones(c, []phone{p})
}

type simDevicesSetCmd struct {
	simURL
	jsonFlag
	Name  string `arg:"" help:"Name of the phone."`
	State string `arg:"" help:"online, offline or uninstalled." enum:"online,offline,uninstalled"`
}

// Run changes the state of a phone.
func (s *simDevicesSetCmd) Run(c *console) error {
	var p phone
	change := map[string]string{"state": s.State}
	if err := s.call(c.ctx, http.MethodPatch, "/sim/devices/"+url.PathEscape(s.Name), change, &p); err != nil {
		return err
	}
	if s.JSON {
		return c.json(p)
	}
	return printPhones(c, []phone{p})
}

// fault is one entry of a fault plan.
type fault struct {
	Provider   string `json:"provider"`
	Status     int    `json:"status,omitempty"`
	Reason     string `json:"reason,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"`
	LatencyMS  int    `json:"latency_ms,omitempty"`
	Count      int    `json:"count,omitempty"`
	Device     string `json:"device,omitempty"`
}

type simFaultsCmd struct {
	Ls    simFaultsLsCmd    `cmd:"" help:"Show the fault plan."`
	Set   simFaultsSetCmd   `cmd:"" help:"Replace the fault plan by one fault."`
	Clear simFaultsClearCmd `cmd:"" help:"Remove the fault plan."`
}

type simFaultsLsCmd struct {
	simURL
}

// Run prints the fault plan as JSON.
func (s *simFaultsLsCmd) Run(c *console) error {
	var plan any
	if err := s.call(c.ctx, http.MethodGet, "/sim/faults", nil, &plan); err != nil {
		return err
	}
	return c.json(plan)
}

type simFaultsSetCmd struct {
	simURL
	Provider   string        `arg:"" help:"apns, fcm or webpush." enum:"apns,fcm,webpush"`
	Status     int           `help:"Answer with this HTTP status." env:"-"`
	Reason     string        `help:"The vendor's reason, for example ServiceUnavailable (apns) or UNAVAILABLE (fcm)." env:"-"`
	RetryAfter time.Duration `help:"Send a Retry-After header." env:"-"`
	Latency    time.Duration `help:"Answer this much later." env:"-"`
	Count      int           `help:"Hit only so many requests; 0: until cleared." env:"-"`
	Device     string        `help:"Hit only this phone." placeholder:"NAME" env:"-"`
}

// Run replaces the fault plan.
func (s *simFaultsSetCmd) Run(c *console) error {
	return s.call(c.ctx, http.MethodPut, "/sim/faults", fault{Provider: s.Provider, Status: s.Status, Reason: s.Reason,
		RetryAfter: int(s.RetryAfter.Seconds()), LatencyMS: int(s.Latency.Milliseconds()), Count: s.Count, Device: s.Device}, nil)
}

type simFaultsClearCmd struct {
	simURL
}

// Run removes the fault plan.
func (s *simFaultsClearCmd) Run(c *console) error {
	return s.call(c.ctx, http.MethodDelete, "/sim/faults", nil, nil)
}
