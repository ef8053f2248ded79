package storagetest

import (
	"github.com/diaphone-dev/diaphone"
	"pgregory.net/rapid"
)

// message finds one of the model's own.
func (m *model) message(id diaphone.MessageID) *modelMessage {
	for _, msg := range m.messages {
		if msg.ID == id {
			return msg
		}
	}
	m.e.Fatalf("message %s is not the model's", id)
	return nil
}

func (m *model) some(rt *rapid.T) *modelMessage {
	if len(m.messages) == 0 {
		rt.Skip("no message")
	}
	return rapid.SampledFrom(m.messages).Draw(rt, "message")
}

func (m *model) start(rt *rapid.T) {
	m.startIt(m.some(rt))
}

func (m *model) startIt(msg *modelMessage) {
	a, began, err := m.e.s.Start(m.e.ctx, m.app, msg.ID, route)
	m.e.no(err, "start")
	equal(m.e, began, msg.scheduled, "%s began", msg.ID)
	if !began {
		return
	}
	msg.scheduled = false
	m.begin(msg)
	m.learn(msg, a.Planned)
}

func (m *model) cancel(rt *rapid.T) {
	msg := m.some(rt)
	pending := 0
	for _, d := range msg.deliveries {
		if d.state == diaphone.Pending {
			pending++
		}
	}
	over := msg.planned && pending == 0
	r, err := m.e.s.Cancel(m.e.ctx, m.app, msg.ID, at(m.now))
	m.e.no(err, "cancel")
	if !over && !msg.cancelled {
		equal(m.e, r.Unsent, msg.scheduled, "%s is unsent", msg.ID)
		msg.cancelled, msg.scheduled, msg.planned = true, false, true
	}
	equal(m.e, r.CancelledAt.IsZero(), !msg.cancelled, "%s was not cancelled", msg.ID)
}

// jump sets the clock, as people and time servers do: every time in the store may lie
// ahead of it then.
func (m *model) jump(rt *rapid.T) {
	m.now += rapid.SampledFrom([]float64{-3600, -7, 3600}).Draw(rt, "by")
}

// settled is a time at which all is due and no lease is left, however the clock was set.
func (m *model) settled() float64 {
	latest := m.now
	for _, msg := range m.messages {
		for _, d := range msg.deliveries {
			latest = max(latest, d.due)
			if d.out != nil {
				latest = max(latest, d.out.until)
			}
		}
	}
	return latest + 100
}
