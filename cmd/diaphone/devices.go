package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

type devicesCmd struct {
	Ls  devicesLsCmd  `cmd:"" help:"List devices."`
	Add devicesAddCmd `cmd:"" help:"Register a device, or replace it."`
	Get devicesGetCmd `cmd:"" help:"Show one device."`
	Rm  devicesRmCmd  `cmd:"" help:"Remove devices."`

	Secret devicesSecretCmd `cmd:"" help:"Make a secret by which the app on a device can speak for it; ends the one before."`
}

type devicesLsCmd struct {
	server
	jsonFlag
	User  string `help:"Only this user's." placeholder:"ID" env:"-"`
	Limit int    `help:"List at most so many." default:"1000" env:"-"`
}

// Run lists devices, page by page.
func (d *devicesLsCmd) Run(c *console) error {
	api, err := d.client()
	if err != nil {
		return err
	}
	all, err := collect(c, api.AllDevices(c.ctx, diaphone.UserID(d.User)), d.Limit)
	if err != nil {
		return err
	}
	if d.JSON {
		return c.json(all)
	}
	return printDevices(c, all)
}

func printDevices(c *console, devices []wire.Device) error {
	rows := make([][]string, len(devices))
	for i, d := range devices {
		tokens := make([]string, len(d.Tokens))
		for j, t := range d.Tokens {
			tokens[j] = string(t.Kind) + ":" + t.Fingerprint
			if t.State == wire.TokenGone {
				tokens[j] += "(gone)"
			}
		}
		channels := make([]string, len(d.Channels))
		for j, name := range d.Channels {
			channels[j] = string(name)
		}
		rows[i] = []string{string(d.ID), string(d.Platform), string(d.UserID),
			strings.Join(tokens, " "), strings.Join(channels, " "), clock(d.UpdatedAt.Time)}
	}
	return c.table("DEVICE PLATFORM USER TOKENS CHANNELS UPDATED", rows)
}

type devicesAddCmd struct {
	server
	jsonFlag
	ID           string            `arg:"" help:"Id of the device: stays the same as tokens come and go."`
	Platform     string            `help:"ios, android or web." enum:"ios,android,web" required:"" env:"-"`
	APNS         string            `help:"APNs device token." placeholder:"TOKEN" env:"-"`
	APNSVoIP     string            `name:"apns-voip" help:"PushKit token, for calls." placeholder:"TOKEN" env:"-"`
	Environment  string            `help:"Environment of the APNs tokens: production or sandbox." placeholder:"ENV" env:"-"`
	FCM          string            `help:"FCM registration token." placeholder:"TOKEN" env:"-"`
	Subscription string            `help:"File with what a browser's PushSubscription.toJSON() gave; - reads it from standard input." placeholder:"FILE" env:"-"`
	User         string            `help:"User that the device belongs to." placeholder:"ID" env:"-"`
	Channel      []string          `help:"Channel to listen to; may be repeated." placeholder:"NAME" env:"-" sep:"none"`
	Tag          map[string]string `help:"Tag; may be repeated." placeholder:"KEY=VALUE" env:"-" mapsep:"none"`
	Locale       string            `help:"Locale, for example de-AT." env:"-"`
	TimeZone     string            `help:"Time zone, for example Europe/Vienna." env:"-"`
}

// Run registers a device.
func (d *devicesAddCmd) Run(c *console) error {
	api, err := d.client()
	if err != nil {
		return err
	}
	device := wire.NewDevice{Platform: diaphone.Platform(d.Platform), UserID: diaphone.UserID(d.User),
		Locale: d.Locale, TimeZone: d.TimeZone, Tags: d.Tag}
	if d.APNS != "" {
		device.Tokens = append(device.Tokens, wire.NewToken{Kind: diaphone.TokenAPNs, Value: d.APNS, Environment: diaphone.Environment(d.Environment)})
	}
	if d.APNSVoIP != "" {
		device.Tokens = append(device.Tokens, wire.NewToken{Kind: diaphone.TokenAPNsVoIP, Value: d.APNSVoIP, Environment: diaphone.Environment(d.Environment)})
	}
	if d.FCM != "" {
		device.Tokens = append(device.Tokens, wire.NewToken{Kind: diaphone.TokenFCM, Value: d.FCM})
	}
	if d.Subscription != "" {
		s, err := readSubscription(c, d.Subscription)
		if err != nil {
			return err
		}
		device.Tokens = append(device.Tokens, wire.NewToken{Kind: diaphone.TokenWebPush, Subscription: s})
	}
	for _, name := range d.Channel {
		device.Channels = append(device.Channels, diaphone.ChannelName(name))
	}
	stored, err := api.PutDevice(c.ctx, diaphone.DeviceID(d.ID), device)
	if err != nil {
		return err
	}
	if d.JSON {
		return c.json(stored)
	}
	return printDevices(c, []wire.Device{stored})
}

func readSubscription(c *console, file string) (*wire.Subscription, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(c.in, 1<<20))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, usage(fmt.Errorf("read the subscription: %w", err))
	}
	s := &wire.Subscription{}
	if json.Unmarshal(text, s) != nil {
		return nil, usagef("the subscription is not the JSON that PushSubscription.toJSON() gives")
	}
	return s, nil
}

type devicesSecretCmd struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the device."`
}

// Run makes a secret and prints it, this once.
func (d *devicesSecretCmd) Run(c *console) error {
	if err := needed("device id", d.ID); err != nil {
		return err
	}
	api, err := d.client()
	if err != nil {
		return err
	}
	secret, err := api.NewDeviceSecret(c.ctx, diaphone.DeviceID(d.ID))
	if err != nil {
		return err
	}
	if d.JSON {
		return c.json(wire.DeviceSecret{Secret: secret.Reveal()})
	}
	_, err = fmt.Fprintln(c.out, secret.Reveal())
	return err
}

type devicesGetCmd struct {
	server
	jsonFlag
	ID string `arg:"" help:"Id of the device."`
}

// Run shows one device.
func (d *devicesGetCmd) Run(c *console) error {
	api, err := d.client()
	if err != nil {
		return err
	}
	device, err := api.Device(c.ctx, diaphone.DeviceID(d.ID))
	if err != nil {
		return err
	}
	if d.JSON {
		return c.json(device)
	}
	return printDevices(c, []wire.Device{device})
}

type devicesRmCmd struct {
	server
	ID []string `arg:"" help:"Ids of the devices."`
}

// Run removes devices, and stops at the first that cannot be.
func (d *devicesRmCmd) Run(c *console) error {
	api, err := d.client()
	if err != nil {
		return err
	}
	for _, id := range d.ID {
		if err := api.DeleteDevice(c.ctx, diaphone.DeviceID(id)); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if _, err := fmt.Fprintf(c.out, "%s removed\n", id); err != nil {
			return err
		}
	}
	return nil
}
