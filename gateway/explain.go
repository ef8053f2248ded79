package gateway

import (
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/push"
	"github.com/diaphone-dev/diaphone/storage"
)

// MaxExplained is how many devices of a user one explanation looks at.
const MaxExplained = 50

// Question is why a phone did not ring: of one user, or of one device.
type Question struct {
	Message diaphone.MessageID
	User    diaphone.UserID // or
	Device  diaphone.DeviceID
}

// Explanation is the answer, as far as it is known here and now.
type Explanation struct {
	Because Meaning                // in short
	Message *storage.MessageReport // nil: it is not known
	Live    *LiveStory             // nil: the question names no user, and its device has none
	Devices []DeviceStory
	More    bool          // the user has more devices than were looked at
	Words   []Meaning     // of the attempts' reasons, each once
	Kept    time.Duration // how long finished messages are kept
}

// LiveStory is a user on the live side.
type LiveStory struct {
	User diaphone.UserID
	Now  hub.UserInfo
	Then hub.Remembered // when the message came

	Because Meaning
}

func liveStory(u diaphone.UserID, now hub.UserInfo, then hub.Remembered, m *diaphone.Message) *LiveStory {
	because := AnswerLiveUnproven
	switch {
	case m.When != diaphone.Away || m.Notification == nil:
		because = AnswerLiveNotAsked
	case then.How == diaphone.TakenElsewhere:
		because = AnswerLiveElsewhere
	case then.How != "":
		because = AnswerLiveTaken
	case then.Pending:
		because = AnswerLiveAwaited
	case !then.Known:
		because = AnswerLiveForgotten
	case !then.Live:
		because = AnswerLiveAbsent
	}
	return &LiveStory{User: u, Now: now, Then: then, Because: MeaningOf(because, "")}
}

// DeviceStory is what a message and a device have to do with each other.
type DeviceStory struct {
	ID         diaphone.DeviceID
	Device     *diaphone.Device // nil: it is not registered, or not any more
	InAudience bool             // the device as it is now
	Delivery   *storage.DeliveryReport
	Lane       *push.LaneState // of a delivery that is pending
	Because    Meaning
	NextAt     time.Time // of the next step; zero: none, or at once
}

// Explain tells why a phone did not ring. What a person who asks would take for an
// answer (no such message, no such device, not in the audience) is one, and no error.
// Its cost is bounded: it looks at MaxExplained devices, and at one delivery of each.
func (g *Gateway) Explain(ctx context.Context, app *diaphone.App, q Question) (Explanation, error) {
	x := Explanation{Kept: g.parts.Retention}
	report, err := g.parts.History.Message(ctx, app.ID, q.Message)
	switch {
	case diaphone.CodeOf(err) == diaphone.NotFound:
		x.Because = MeaningOf(AnswerUnknownMessage, "")
		return x, nil
	case err != nil:
		return x, err
	}
	x.Message = &report
	devices, err := g.devicesOf(ctx, app, q, &x)
	if err != nil {
		return x, err
	}
	told := teller{Gateway: g, app: app, m: &report, lanes: map[diaphone.Lane]*push.LaneState{}}
	for i := range devices {
		story, err := told.tell(ctx, devices[i])
		if err != nil {
			return x, err
		}
		x.Devices = append(x.Devices, story)
	}
	user := q.User
	if user == "" && devices[0].known {
		user = devices[0].User
	}
	if user != "" {
		live := &g.parts.Live
		x.Live = liveStory(user, live.User(app.ID, user), live.Remembered(app.ID, q.Message, user), report.Message)
	}
	x.Because = x.inShort(q.User)
	x.Words = x.words()
	return x, nil
}

// candidate is a device that is asked about.
type candidate struct {
	diaphone.Device
	known bool
}

func (g *Gateway) devicesOf(ctx context.Context, app *diaphone.App, q Question, x *Explanation) ([]candidate, error) {
	if q.Device != "" {
		d, err := g.parts.Devices.Device(ctx, app.ID, q.Device)
		if diaphone.CodeOf(err) == diaphone.NotFound {
			return []candidate{{Device: diaphone.Device{ID: q.Device}}}, nil
		}
		return []candidate{{d, true}}, err
	}
	found, next, err := g.parts.Devices.ListDevices(ctx, app.ID, q.User, storage.Page{Limit: MaxExplained})
	x.More = next != ""
	all := make([]candidate, len(found))
	for i, d := range found {
		all[i] = candidate{d, true}
	}
	return all, err
}

// teller explains one message to several devices.
type teller struct {
	*Gateway
	app   *diaphone.App
	m     *storage.MessageReport
	lanes map[diaphone.Lane]*push.LaneState // asked already; nil: one did not answer
}

// tell puts together what is known of one device.
func (t *teller) tell(ctx context.Context, c candidate) (DeviceStory, error) {
	s := DeviceStory{ID: c.ID}
	if c.known {
		s.Device, s.InAudience = &c.Device, t.m.Message.To.Matches(&c.Device)
	}
	d, err := t.parts.History.Delivery(ctx, t.app.ID, t.m.Message.ID, c.ID)
	switch {
	case diaphone.CodeOf(err) == diaphone.NotFound:
		s.Because = MeaningOf(s.unowed(t.m), "")
		return s, nil
	case err != nil:
		return s, err
	}
	s.Delivery = &d
	if d.State == diaphone.Pending {
		s.Lane = t.lane(ctx, d.Lane)
	}
	s.Because = s.standing()
	return s, nil
}

// laneAnswers is how long an explanation waits for a lane.
const laneAnswers = time.Second

func (t *teller) lane(ctx context.Context, id diaphone.Lane) *push.LaneState {
	known, asked := t.lanes[id]
	if asked {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, laneAnswers)
	defer cancel()
	if s, ok := t.parts.LaneState(ctx, id); ok {
		known = &s
	}
	t.lanes[id] = known
	return known
}

// unowed says why the message is owed to the device not at all.
func (s *DeviceStory) unowed(m *storage.MessageReport) string {
	switch {
	case m.Unsent:
		return AnswerUnsent
	case m.State == diaphone.Scheduled:
		return AnswerScheduled
	case m.Message.Notification == nil:
		return AnswerEventOnly
	case s.Device == nil:
		return AnswerUnknownDevice
	case !s.InAudience:
		return AnswerNotInAudience
	case s.Device.CreatedAt.After(m.Message.Begins()):
		return AnswerRegisteredLate
	case !m.Planned:
		return AnswerPlanning
	case !m.CancelledAt.IsZero():
		return diaphone.ReasonCancelled
	}
	return AnswerJoinedLate
}

// standing says how the delivery ended, or what it waits for.
func (s *DeviceStory) standing() Meaning {
	d, lane := s.Delivery, s.Lane
	if lane == nil {
		lane = &push.LaneState{}
	}
	now := time.Now()
	switch {
	case d.State == diaphone.Delivered:
		return MeaningOf(reported(d.Receipts), "")
	case d.State != diaphone.Pending:
		return MeaningOf(d.Reason, lastVerdict(d))
	case lane.Undeclared:
		return MeaningOf(AnswerLaneUndeclared, "")
	case lane.Mistrust:
		s.NextAt = lane.ProbeAt
		return MeaningOf(AnswerLaneMistrusted, "")
	case lane.Paused:
		s.NextAt = lane.ProbeAt
		return MeaningOf(AnswerLanePaused, "")
	case d.RetryAt.After(now) && d.Reason == diaphone.ReasonAwaiting:
		s.NextAt = d.RetryAt
		return MeaningOf(d.Reason, "")
	case d.RetryAt.After(now):
		s.NextAt = d.RetryAt
		return MeaningOf(AnswerRetrying, "")
	case lane.SlowUntil.After(now):
		s.NextAt = lane.SlowUntil
		return MeaningOf(AnswerLaneSlowed, "")
	}
	return MeaningOf(AnswerQueued, "")
}

// reported says what a phone has made of what its provider accepted. Shown once is shown,
// whatever a second try to read it has come to.
func reported(receipts []storage.DeviceReceipt) string {
	answer := AnswerDelivered
	for _, r := range receipts {
		switch r.Kind {
		case diaphone.ReceiptDisplayed, diaphone.ReceiptOpened, diaphone.ReceiptDismissed:
			return AnswerDisplayed
		case diaphone.ReceiptDecryptFailed:
			answer = AnswerDecryptFailed
		case diaphone.ReceiptDelivered:
		}
	}
	return answer
}

// lastVerdict explains a reason that is a provider's word. Without an attempt it is
// none.
func lastVerdict(d *storage.DeliveryReport) diaphone.Verdict {
	if n := len(d.Attempts); n > 0 {
		return d.Attempts[n-1].Verdict
	}
	return ""
}

// inShort gives the one answer, if there is one.
func (x *Explanation) inShort(user diaphone.UserID) Meaning {
	if len(x.Devices) == 0 {
		return MeaningOf(x.noDevices(user), "")
	}
	first := x.Devices[0].Because
	for i := range x.Devices {
		if x.Devices[i].Because != first {
			return MeaningOf(AnswerDiffers, "")
		}
	}
	return first
}

// noDevices says why nothing rings of a user who has no device, or has none any more.
func (x *Explanation) noDevices(user diaphone.UserID) string {
	nobody := DeviceStory{Device: &diaphone.Device{User: user}}
	nobody.InAudience = x.Message.Message.To.Matches(nobody.Device)
	if nobody.InAudience || len(x.Message.Message.To.Channels) > 0 {
		switch because := nobody.unowed(x.Message); because {
		case AnswerUnsent, AnswerScheduled, AnswerEventOnly:
			return because
		}
		if x.Message.Counts.Accepted > 0 {
			return AnswerDevicesGone
		}
		return AnswerNoDevices
	}
	return AnswerNotInAudience
}

// words explains what the providers have answered.
func (x *Explanation) words() (all []Meaning) {
	seen := map[string]bool{"": true}
	for i := range x.Devices {
		d := x.Devices[i].Delivery
		if d == nil {
			continue
		}
		for _, a := range d.Attempts {
			if !seen[a.Reason] {
				seen[a.Reason] = true
				all = append(all, MeaningOf(a.Reason, a.Verdict))
			}
		}
		if lane := x.Devices[i].Lane; lane != nil && !seen[lane.Reason] {
			seen[lane.Reason] = true
			all = append(all, MeaningOf(lane.Reason, diaphone.Denied))
		}
	}
	return all
}
