package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
)

type explainCmd struct {
	server
	jsonFlag
	Message string `arg:"" help:"Id of the message, as send prints it."`
	Who     string `arg:"" help:"user:ID or device:ID."`
}

// Run tells why a phone did not ring.
func (e *explainCmd) Run(c *console) error {
	if err := needed("message id", e.Message); err != nil {
		return err
	}
	kind, id, _ := strings.Cut(e.Who, ":")
	if kind != "user" && kind != "device" || id == "" {
		return usagef("%q is neither user:ID nor device:ID", e.Who)
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	var x wire.Explanation
	if kind == "user" {
		x, err = api.ExplainUser(c.ctx, diaphone.MessageID(e.Message), diaphone.UserID(id))
	} else {
		x, err = api.ExplainDevice(c.ctx, diaphone.MessageID(e.Message), diaphone.DeviceID(id))
	}
	if err != nil {
		return err
	}
	if e.JSON {
		err = c.json(x)
	} else {
		_, err = fmt.Fprint(c.out, printable(newTale(&x, time.Now()).tell()))
	}
	if err == nil && x.Because.Code == gateway.AnswerUnknownMessage {
		return failf(exitNotFound, "no message %s is kept", e.Message)
	}
	return err
}

// tale is an explanation as it can be read aloud.
type tale struct {
	*wire.Explanation
	now   time.Time
	words map[string]wire.Meaning
	text  strings.Builder
}

func newTale(x *wire.Explanation, now time.Time) *tale {
	t := &tale{Explanation: x, now: now, words: map[string]wire.Meaning{}}
	for _, w := range x.Words {
		t.words[w.Code] = w
	}
	return t
}

func (t *tale) line(indent int, format string, args ...any) {
	t.text.WriteString(strings.Repeat("  ", indent) + fmt.Sprintf(format, args...) + "\n")
}

func (t *tale) meaning(indent int, m wire.Meaning) {
	t.line(indent, "%s", m.Means)
	if m.Do != "" {
		t.line(indent, "What to do: %s", m.Do)
	}
}

func (t *tale) tell() string {
	t.line(0, "In short (%s):", t.Because.Code)
	t.meaning(1, t.Because)
	if t.Message == nil {
		t.line(1, "Finished messages are kept for %s.", lasting(time.Duration(t.HistoryKept)*time.Second))
		return t.text.String()
	}
	t.message()
	if l := t.Live; l != nil {
		t.line(0, "The user %s:", l.User.ID)
		if l.User.Live {
			t.line(1, "Live now: %d connections signed in, %d presence channels.", l.User.Connections, l.User.PresenceChannels)
		} else {
			t.line(1, "Not live now.")
		}
		t.meaning(1, l.Because)
	}
	for i := range t.Devices {
		t.device(&t.Devices[i])
	}
	if t.MoreDevices {
		t.line(0, "The user has more devices; ask for each with device:ID.")
	}
	return t.text.String()
}

func (t *tale) message() {
	m := t.Message
	t.line(0, "The message:")
	t.line(1, "Accepted at %s, %s.", moment(m.AcceptedAt), t.ago(m.AcceptedAt.Time))
	if !m.SendAt.IsZero() {
		t.line(1, "To go out at %s.", moment(m.SendAt))
	}
	t.line(1, "To %s; %s.", audience(m.To), map[diaphone.When]string{
		diaphone.Always: "phones ring whether or not their user is live",
		diaphone.Away:   "phones of those who take it live are spared"}[m.When])
	c := m.Counts
	t.line(1, "It is %s: %d of %d deliveries accepted by providers, %d failed, %d expired, %d suppressed, %d cancelled, %d pending.",
		m.State, c.Delivered, c.Accepted, c.Failed, c.Expired, c.Suppressed, c.Cancelled, c.Pending)
	if !m.CancelledAt.IsZero() {
		t.line(1, "Cancelled at %s.", moment(m.CancelledAt))
	}
	if m.State != diaphone.Finished {
		t.line(1, "It may be sent until %s.", moment(m.ExpiresAt))
	}
}

func (t *tale) device(s *wire.DeviceStory) {
	if d := s.Device; d == nil {
		t.line(0, "The device %s, which is not registered (any more):", s.DeviceID)
	} else {
		t.line(0, "The device %s (%s):", s.DeviceID, d.Platform)
		t.line(1, "Registered for the first time %s.", t.ago(d.CreatedAt.Time))
		for i := range d.Tokens {
			t.token(&d.Tokens[i])
		}
		if len(d.Tokens) == 0 {
			t.line(1, "It has no token.")
		}
	}
	if s.Delivery != nil {
		for _, a := range s.Delivery.Attempts {
			t.attempt(s.Delivery, &a)
		}
		t.receipts(s.Delivery.Receipts)
	}
	t.lane(s.Lane)
	t.line(1, "Outcome (%s):", s.Because.Code)
	t.meaning(2, s.Because)
	if !s.NextAt.IsZero() {
		t.line(2, "Next step: %s, %s.", moment(s.NextAt), t.in(s.NextAt.Time))
	}
}

func (t *tale) attempt(d *wire.Delivery, a *wire.Attempt) {
	answer := "no answer"
	if a.Status > 0 {
		answer = fmt.Sprint(a.Status)
	}
	t.line(1, "Attempt at %s over %s: %s after %d ms.", moment(a.At), d.Credential, strings.TrimSpace(answer+" "+a.Reason), a.LatencyMS)
	if w, known := t.words[a.Reason]; known && a.Reason != "" {
		t.line(2, "%s", w.Means)
	}
}

func (t *tale) token(k *wire.Token) {
	gone := ""
	if k.State == wire.TokenGone {
		gone = fmt.Sprintf("; gone since %s (%s)", moment(k.GoneAt), k.GoneReason)
	}
	t.line(1, "Token %s %s, registered %s%s.", strings.TrimSpace(string(k.Kind)+" "+string(k.Environment)), k.Fingerprint, t.ago(k.RegisteredAt.Time), gone)
}

// receipts tells what the phone has said itself.
func (t *tale) receipts(all []wire.DeviceReceipt) {
	if len(all) == 0 {
		return
	}
	said := make([]string, len(all))
	for i, r := range all {
		said[i] = string(r.Kind) + " " + moment(r.At)
	}
	t.line(1, "The phone reported: %s.", strings.Join(said, ", "))
}

func (t *tale) lane(l *wire.Lane) {
	switch {
	case l == nil:
	case l.Paused && !l.Since.IsZero():
		t.line(1, "Its lane is paused since %s (%s); a probe goes out at %s.", moment(l.Since), l.Reason, moment(l.ProbeAt))
	case !l.SlowUntil.IsZero():
		t.line(1, "Its lane is slowed until %s.", moment(l.SlowUntil))
	default:
		t.line(1, "Its lane has %d of %d attempts under way, and %d deliveries in hand.", l.InFlight, l.Window, l.Held)
	}
}

func audience(to wire.Audience) string {
	var parts []string
	part := func(n int, what, first string) {
		if n > 1 {
			first += fmt.Sprintf(" and %d more", n-1)
		}
		parts = append(parts, what+" "+first)
	}
	if n := len(to.Users); n > 0 {
		part(n, "user", string(to.Users[0]))
	}
	if n := len(to.Devices); n > 0 {
		part(n, "device", string(to.Devices[0]))
	}
	if n := len(to.Channels); n > 0 {
		part(n, "channel", string(to.Channels[0]))
	}
	return strings.Join(parts, ", ")
}

func (t *tale) ago(at time.Time) string { return lasting(t.now.Sub(at)) + " ago" }

func (t *tale) in(at time.Time) string {
	if d := at.Sub(t.now); d > 0 {
		return "in " + lasting(d)
	}
	return "now"
}

// lasting says a duration in its largest unit.
func lasting(d time.Duration) string {
	for _, u := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int(d / u.of); n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	if n := int(d.Seconds()); n > 1 {
		return fmt.Sprintf("%d seconds", n)
	}
	return "a moment"
}
