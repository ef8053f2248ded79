package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
	"github.com/diaphone-dev/diaphone/storage"
)

type sendCmd struct {
	server
	jsonFlag
	To             string            `arg:"" help:"user:ID, device:ID or channel:NAME; several with commas."`
	Body           string            `arg:"" optional:"" help:"Text of the notification; - reads it from standard input. Without title and body it is a data message, which wakes the app and shows nothing."`
	Title          string            `help:"Title." env:"-"`
	Data           map[string]string `help:"Data for the app, as KEY=VALUE; may be repeated." placeholder:"KEY=VALUE" env:"-" mapsep:"none"`
	Image          string            `help:"URL of an image." placeholder:"URL" env:"-"`
	Badge          *int              `help:"Number on the app's icon." env:"-"`
	Sound          string            `help:"Sound, for example default." env:"-"`
	Collapse       string            `help:"Collapse id: a newer notification replaces the shown one." placeholder:"ID" env:"-"`
	Mode           string            `help:"alert, background, data or voip; by default alert with something to show, else data." enum:",alert,background,data,voip" default:"" env:"-"`
	Priority       string            `help:"high or normal; by default high, in the background normal." enum:",high,normal" default:"" env:"-"`
	TTL            *time.Duration    `help:"Give up after this time; 0s means now or never." placeholder:"DURATION" env:"-"`
	When           string            `help:"always, or away: spare the phones of users who are proven to have taken it live." enum:"always,away" default:"always" env:"-"`
	At             string            `help:"Send it then: 18:30, +10m, or 2026-09-01T18:30:00+02:00." placeholder:"TIME" env:"-"`
	IdempotencyKey string            `help:"A repeated send with the same key is not sent again." placeholder:"KEY" env:"-"`
	Preview        bool              `help:"Send nothing; print what each provider would be sent, its size, and warnings." env:"-"`
	Wait           bool              `help:"Wait until every delivery has ended and print each." env:"-"`
	Timeout        time.Duration     `help:"Wait no longer than this." default:"60s" env:"-"`
}

// Run sends; with --wait it follows the deliveries to their end.
func (s *sendCmd) Run(c *console) error {
	if err := s.check(); err != nil {
		return err
	}
	api, err := s.client()
	if err != nil {
		return err
	}
	m, err := s.message(c)
	if err != nil {
		return err
	}
	if s.Preview {
		return s.preview(c, api, m)
	}
	published, err := api.Publish(c.ctx, m, s.IdempotencyKey)
	if err != nil {
		return err
	}
	if s.Wait {
		c.note("%s accepted; waiting for its deliveries", published.ID)
		return s.follow(c, api, published.ID)
	}
	if s.JSON {
		err = c.json(published)
	} else if !m.SendAt.IsZero() {
		_, err = fmt.Fprintf(c.out, "%s scheduled for %s\n", published.ID, m.SendAt.Local().Format(time.RFC3339))
	} else {
		_, err = fmt.Fprintf(c.out, "%s accepted: %s\n", published.ID, planned(published.Counts))
	}
	if err == nil && published.Counts.Accepted == 0 && m.SendAt.IsZero() {
		return s.nobody()
	}
	return err
}

// nobody says that the audience has no device.
func (s *sendCmd) nobody() error {
	return failf(exitNotFound, "nobody: %s has no registered device; `diaphone devices ls` lists them", s.To)
}

// planned tells what the gateway counts as it accepts a message: the first page of a
// large audience.
func planned(n wire.Counts) string {
	text := fmt.Sprintf("%d deliveries", n.Accepted)
	if n.Accepted == 1 {
		text = "1 delivery"
	}
	if n.Accepted >= storage.PlanPage {
		text += " so far"
	}
	if n.Failed > 0 {
		text += fmt.Sprintf(", %d failed at once", n.Failed)
	}
	return text
}

// check refuses what needs no gateway to be wrong.
func (s *sendCmd) check() error {
	switch {
	case s.TTL != nil && *s.TTL < 0:
		return usagef("--ttl %s: 0 or more", *s.TTL)
	case s.Badge != nil && *s.Badge < 0:
		return usagef("--badge %d: 0 or more", *s.Badge)
	case s.Timeout <= 0:
		return usagef("--timeout %s: more than 0", s.Timeout)
	}
	return nil
}

func (s *sendCmd) message(c *console) (m wire.NewMessage, err error) {
	if m.To, err = parseAudience(s.To); err != nil {
		return m, err
	}
	body := s.Body
	if body == "-" {
		text, err := io.ReadAll(io.LimitReader(c.in, 1<<20))
		if err != nil {
			return m, fmt.Errorf("read the text from standard input: %w", err)
		}
		body = strings.TrimRight(string(text), "\n")
	}
	if s.At != "" {
		at, err := parseAt(s.At, time.Now())
		if err != nil {
			return m, err
		}
		m.SendAt = wire.At(at)
	}
	m.When = diaphone.When(s.When)
	m.Notification = &diaphone.Notification{
		Mode:  diaphone.Mode(s.Mode),
		Title: s.Title, Body: body, Data: s.Data, Image: s.Image, Badge: s.Badge, Sound: s.Sound,
		CollapseID: s.Collapse, Priority: diaphone.Priority(s.Priority),
	}
	if s.TTL != nil {
		seconds := int(s.TTL.Seconds())
		m.Notification.TTL = &seconds
	}
	return m, nil
}

// parseAudience reads "user:ana,channel:news".
func parseAudience(text string) (to wire.Audience, err error) {
	for part := range strings.SplitSeq(text, ",") {
		kind, id, ok := strings.Cut(part, ":")
		if !ok || id == "" {
			return to, usagef("audience %q: write user:ID, device:ID or channel:NAME", part)
		}
		switch kind {
		case "user":
			to.Users = append(to.Users, diaphone.UserID(id))
		case "device":
			to.Devices = append(to.Devices, diaphone.DeviceID(id))
		case "channel":
			to.Channels = append(to.Channels, diaphone.ChannelName(id))
		default:
			return to, usagef("audience %q: %q is not one of user, device, channel", part, kind)
		}
	}
	return to, nil
}

// sent is what send --wait --json prints.
type sent struct {
	Message    wire.Message    `json:"message"`
	Deliveries []wire.Delivery `json:"deliveries"`
}

func (s *sendCmd) follow(c *console, api *client.Client, id diaphone.MessageID) error {
	ctx, cancel := context.WithTimeout(c.ctx, s.Timeout)
	defer cancel()
	m, err := api.Wait(ctx, id)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) { // how it stands now: it was seen a while ago, or never
		m, err = api.Message(c.ctx, id)
	}
	if err != nil {
		return err
	}
	deliveries := []wire.Delivery{}
	for d, err := range api.AllDeliveries(c.ctx, id) {
		if err != nil {
			return err
		}
		deliveries = append(deliveries, d)
	}
	if s.JSON {
		err = c.json(sent{Message: m, Deliveries: deliveries})
	} else {
		err = printDeliveries(c, m, deliveries)
	}
	if err != nil {
		return err
	}
	return s.outcome(&m, deliveries)
}

// outcome counts what is printed, which may be newer than the message.
func (s *sendCmd) outcome(m *wire.Message, deliveries []wire.Delivery) error {
	pending, failed := 0, 0
	for _, d := range deliveries {
		switch d.State {
		case diaphone.Pending:
			pending++
		case diaphone.Failed, diaphone.Expired:
			failed++
		}
	}
	switch {
	case pending > 0:
		return failf(exitUnavailable, "%d of %d deliveries are still pending after %s", pending, len(deliveries), s.Timeout)
	case m.State != diaphone.Finished: // its audience is still being planned
		return failf(exitUnavailable, "%s is not finished after %s", m.ID, s.Timeout)
	case len(deliveries) == 0:
		return s.nobody()
	case failed > 0:
		return failf(exitPartial, "%d of %d deliveries failed", failed, len(deliveries))
	}
	return nil
}

func printDeliveries(c *console, m wire.Message, deliveries []wire.Delivery) error {
	rows := make([][]string, len(deliveries))
	for i, d := range deliveries {
		took := ""
		if n := len(d.Attempts); n > 0 {
			last := d.Attempts[n-1]
			end := last.At.Add(time.Duration(last.LatencyMS) * time.Millisecond)
			begun := m.AcceptedAt.Time
			if !m.SendAt.IsZero() {
				begun = m.SendAt.Time
			}
			took = end.Sub(begun).Round(time.Millisecond).String()
		}
		rows[i] = []string{string(d.DeviceID), string(d.Provider), string(d.State), fmt.Sprint(len(d.Attempts)), took, d.Reason}
	}
	return c.table("DEVICE PROVIDER STATE ATTEMPTS TIME REASON", rows)
}
