package rest

import (
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/push"
)

func (d *Door) explain(c *call) error {
	q, err := c.question()
	if err != nil {
		return err
	}
	x, err := d.gateway.Explain(c.ctx(), c.app, q)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, explanationOut(c.app, q.Message, &x))
}

func (c *call) question() (q gateway.Question, err error) {
	q.Message = diaphone.MessageID(c.query.Get("message"))
	if q.Message == "" {
		return q, diaphone.InvalidField("/message", "required", "message is missing: the id that the publisher was given")
	}
	if c.query.Has("user") == c.query.Has("device") {
		return q, diaphone.InvalidField("/user", "required", "give either user or device")
	}
	if c.query.Has("device") {
		q.Device = diaphone.DeviceID(c.query.Get("device"))
		return q, at("/device", q.Device.Validate())
	}
	q.User = diaphone.UserID(c.query.Get("user"))
	return q, at("/user", q.User.Validate())
}

func explanationOut(app *diaphone.App, id diaphone.MessageID, x *gateway.Explanation) wire.Explanation {
	out := wire.Explanation{
		MessageID: diaphone.MessageID(strict.Clip(string(id))), Because: wire.Meaning(x.Because), Devices: make([]wire.DeviceStory, len(x.Devices)),
		MoreDevices: x.More, Words: make([]wire.Meaning, len(x.Words)), HistoryKept: int64(x.Kept.Seconds()),
	}
	if x.Message != nil {
		m := messageOut(x.Message)
		out.Message = &m
	}
	if l := x.Live; l != nil {
		out.Live = &wire.LiveStory{User: userOut(l.User, l.Now), Because: wire.Meaning(l.Because), By: l.Then.By, Until: wire.At(l.Then.Until)}
	}
	for i := range x.Devices {
		out.Devices[i] = storyOut(app, &x.Devices[i])
	}
	for i, w := range x.Words {
		out.Words[i] = wire.Meaning(w)
	}
	return out
}

func storyOut(app *diaphone.App, s *gateway.DeviceStory) wire.DeviceStory {
	out := wire.DeviceStory{DeviceID: s.ID, InAudience: s.InAudience, Because: wire.Meaning(s.Because), NextAt: wire.At(s.NextAt)}
	if s.Device != nil {
		shown := wire.DeviceOf(s.Device)
		for i := range shown.Tokens { // who supports users needs to know which token it is, not the token
			shown.Tokens[i].Value, shown.Tokens[i].Subscription = "", nil
		}
		out.Device = &shown
	}
	if s.Delivery != nil {
		delivery := deliveryOut(app, s.Delivery)
		out.Delivery = &delivery
	}
	if s.Lane != nil {
		out.Lane = laneOut(s.Lane)
	}
	return out
}

func laneOut(l *push.LaneState) *wire.Lane {
	return &wire.Lane{
		Undeclared: l.Undeclared, Paused: l.Paused, Reason: l.Reason, Since: wire.At(l.Since), ProbeAt: wire.At(l.ProbeAt),
		Guarded: l.Guarded, SlowUntil: wire.At(l.SlowUntil), InFlight: l.InFlight, Window: l.Window, Slots: l.Slots, Held: l.Held,
	}
}
