package diaphone

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is what a backend publishes: to an audience, an Event, a
// Notification, or both. Once accepted it never changes and may be shared
// between goroutines.
type Message struct {
	ID           MessageID
	App          AppID
	To           Audience
	Event        *Event
	Notification *Notification
	When         When
	Confirm      Confirmation // of away; it matters while the message is published, and is kept until then only
	AcceptedAt   time.Time
	SendAt       time.Time // not before; zero: at once
	Expires      time.Time // no attempt begins after it
}

// Audience is who a message is for: the union of its lists. A device in several
// of them is owed one delivery.
type Audience struct {
	Users    []UserID
	Devices  []DeviceID
	Channels []ChannelName
}

// Limits of one audience. Larger ones are what channels are for.
const (
	MaxAudienceUsers    = 1000
	MaxAudienceDevices  = 1000
	MaxAudienceChannels = 100 // Pusher's limit on channels of one event
)

// Matches tells whether the device, as it is now, belongs to the audience. It
// is asked again before each attempt, so that nothing goes to a device that has
// been unbound or unsubscribed since.
func (a *Audience) Matches(d *Device) bool {
	return slices.Contains(a.Devices, d.ID) ||
		d.User != "" && slices.Contains(a.Users, d.User) ||
		slices.ContainsFunc(a.Channels, func(c ChannelName) bool { return slices.Contains(d.Channels, c) })
}

// Event is what a socket receives.
type Event struct {
	Name         string
	Data         string    // delivered unchanged; usually JSON
	ExceptSocket SocketID  // does not receive it; empty: none
	Message      MessageID // that it is a half of; empty: of none that is stored
	Position     Position  // in the channel's history; zero: none is kept
	Sender       UserID    // the member who sent it, of a client event on a presence channel
}

// When says whether a live user's phone is spared.
type When string

// The two values of When. A message of an event and a notification is for those who
// are away unless it says otherwise; any other is for all.
const (
	Always When = "always" // push to phones whether or not their user is live
	Away   When = "away"   // spare the phones of a user who is proven to have taken it live
)

// Priority of a notification at its provider.
type Priority string

// The priorities: high wakes the device at once (APNs 10, FCM HIGH), normal
// may wait for it to wake (APNs 5, FCM NORMAL).
const (
	PriorityHigh   Priority = "high"
	PriorityNormal Priority = "normal"
)

// Notification is what a phone receives. Without any of title, body, image,
// badge and sound it is a data message: it wakes the app and shows nothing.
type Notification struct {
	Mode       Mode              `json:"mode,omitempty"`
	Title      string            `json:"title,omitempty"`
	Body       string            `json:"body,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	Image      string            `json:"image,omitempty"`
	CollapseID string            `json:"collapse_id,omitempty"` // a newer one replaces the shown; at most 64 bytes
	Priority   Priority          `json:"priority,omitempty"`
	TTL        *int              `json:"ttl,omitempty"` // seconds; 0: now or never; nil: DefaultTTL, of a call ringTime
	Badge      *int              `json:"badge,omitempty"`
	Sound      string            `json:"sound,omitempty"`
	APNs       *APNsOverride     `json:"apns,omitempty"`
	FCM        json.RawMessage   `json:"fcm,omitempty"`     // an object, merged last into FCM's "message"
	WebPush    json.RawMessage   `json:"webpush,omitempty"` // an object, merged last into the declarative JSON that browsers get
}

// APNsOverride is merged last into what APNs is sent.
type APNsOverride struct {
	Headers map[string]string `json:"headers,omitempty"` // apns-push-type, apns-priority, …; never authorization
	APS     json.RawMessage   `json:"aps,omitempty"`     // an object, merged into "aps"
	Data    json.RawMessage   `json:"data,omitempty"`    // an object, merged beside "aps"
}

// Limits of a notification.
const (
	MaxTTL           = 28 * 24 * 60 * 60 // seconds: what FCM keeps at most (Apple: 30 days)
	DefaultTTL       = MaxTTL
	MaxCollapseBytes = 64 // Apple's limit on apns-collapse-id
)

// MaxSchedule is how far ahead a message can be scheduled.
const MaxSchedule = 30 * 24 * time.Hour

// How late may a scheduled message be? Its publisher's clock need not be ours, and an
// event on its own names no time to live.
const (
	sendAtGrace = time.Minute
	lateEvent   = time.Hour
)

// Schedule sets the times of a message that is accepted now. One whose time has come
// goes out at once.
func (m *Message) Schedule(now time.Time) {
	m.AcceptedAt = now
	begin := now
	switch {
	case m.SendAt.After(now):
		begin = m.SendAt
	case now.Sub(m.SendAt) <= sendAtGrace:
		m.SendAt = time.Time{}
	}
	m.Expires = begin
	switch {
	case m.Notification != nil:
		m.Expires = m.Notification.Deadline(begin)
	case !m.SendAt.IsZero():
		m.Expires = begin.Add(lateEvent)
	}
}

// Begins is when the message is to go out.
func (m *Message) Begins() time.Time {
	if m.SendAt.IsZero() {
		return m.AcceptedAt
	}
	return m.SendAt
}

func (m *Message) validateSchedule(f *fieldErrors) {
	switch {
	case m.SendAt.IsZero():
	case m.SendAt.Before(m.AcceptedAt):
		f.addf("/send_at", "out_of_range", "send_at is over: %s", m.SendAt.UTC().Format(time.RFC3339))
	case m.SendAt.Sub(m.AcceptedAt) > MaxSchedule:
		f.addf("/send_at", "out_of_range", "send_at is at most %d days ahead", MaxSchedule/(24*time.Hour))
	}
}

// nowOrNever is how long an attempt may wait for its turn when the TTL is 0.
const nowOrNever = 30 * time.Second

// Visible tells whether the phone shows or plays anything.
func (n *Notification) Visible() bool {
	return n.Title != "" || n.Body != "" || n.Image != "" || n.Badge != nil || n.Sound != ""
}

// TTLSeconds gives the TTL in force.
func (n *Notification) TTLSeconds() int {
	switch {
	case n.TTL != nil:
		return *n.TTL
	case n.Mode == ModeVoIP:
		return ringTime
	}
	return DefaultTTL
}

// Deadline is the time after which no attempt may begin, of a message that was to be
// sent at the time given.
func (n *Notification) Deadline(accepted time.Time) time.Time {
	ttl := time.Duration(n.TTLSeconds()) * time.Second
	if ttl == 0 {
		ttl = nowOrNever
	}
	return accepted.Add(ttl)
}

// EffectivePriority gives the priority in force: high unless the message or its mode
// says otherwise.
func (n *Notification) EffectivePriority() Priority {
	switch {
	case n.Priority != "":
		return n.Priority
	case n.Mode == ModeBackground:
		return PriorityNormal
	}
	return PriorityHigh
}

// Validate gives an Error that points at every wrong field. maxEvent is the
// app's limit on the bytes of an event's data.
func (m *Message) Validate(maxEvent int) error {
	var f fieldErrors
	m.validateAudience(&f)
	if m.Event == nil && m.Notification == nil {
		f.addf("", "required", "a message has an event, a notification or both")
	}
	if m.When != Always && m.When != Away {
		f.addf("/when", "unknown_value", "when %q: use %s or %s", word(string(m.When)), Always, Away)
	}
	m.validateSchedule(&f)
	m.Confirm.validate(&f)
	if m.Confirm != (Confirmation{}) && m.When != Away {
		f.addf("/confirm", "not_allowed", "confirm is for a message whose when is %s", Away)
	}
	if m.Event != nil {
		m.validateEvent(&f, maxEvent)
	}
	if m.Notification != nil {
		m.Notification.validate(&f)
	}
	return f.err("the message")
}

func (m *Message) validateAudience(f *fieldErrors) {
	to := &m.To
	if len(to.Users)+len(to.Devices)+len(to.Channels) == 0 {
		f.addf("/to", "required", "the audience is empty: name at least one of users, devices, channels")
	}
	if n := len(to.Users); n > MaxAudienceUsers {
		f.addf("/to/users", "too_many", "at most %d users, these are %d; use a channel for more", MaxAudienceUsers, n)
	}
	if n := len(to.Devices); n > MaxAudienceDevices {
		f.addf("/to/devices", "too_many", "at most %d devices, these are %d; use a channel for more", MaxAudienceDevices, n)
	}
	if n := len(to.Channels); n > MaxAudienceChannels {
		f.addf("/to/channels", "too_many", "at most %d channels, these are %d", MaxAudienceChannels, n)
	}
	for i, u := range to.Users {
		f.checkAt("/to/users", i, u.Validate())
	}
	for i, d := range to.Devices {
		f.checkAt("/to/devices", i, d.Validate())
	}
	for i, c := range to.Channels {
		f.checkAt("/to/channels", i, c.Validate())
	}
}

func (m *Message) validateEvent(f *fieldErrors, maxBytes int) {
	e := m.Event
	f.check("/event/name", ValidateEventName(e.Name))
	if !utf8.ValidString(e.Data) {
		f.addf("/event/data", "malformed", "the event's data is not valid UTF-8")
	}
	if len(e.Data) > maxBytes {
		f.addf("/event/data", "too_large", "the event's data has %d bytes, the limit is %d", len(e.Data), maxBytes)
	}
	if e.ExceptSocket != "" {
		f.check("/event/except_socket", e.ExceptSocket.Validate())
	}
	if len(m.To.Users)+len(m.To.Channels) == 0 && len(m.To.Devices) > 0 && m.Notification == nil {
		f.addf("/to", "not_allowed", "events reach users and channels; devices receive notifications only")
	}
}

// Validate refuses what Pusher's SDKs would: two decimal numbers with a dot.
func (s SocketID) Validate() error {
	a, b, ok := strings.Cut(string(s), ".")
	digits := func(c byte) bool { return c >= '0' && c <= '9' }
	if !ok || a == "" || b == "" || len(s) > 64 || !every(a, digits) || !every(b, digits) {
		return Errorf(Invalid, "socket id %q is not of the form 123.456", clip(string(s)))
	}
	return nil
}

func (n *Notification) validate(f *fieldErrors) {
	const at = "/notification"
	for _, t := range []struct{ field, text string }{{"title", n.Title}, {"body", n.Body}, {"image", n.Image}, {"sound", n.Sound}, {"collapse_id", n.CollapseID}} {
		if !utf8.ValidString(t.text) {
			f.addf(at+"/"+t.field, "malformed", "%s is not valid UTF-8", t.field)
		}
	}
	if len(n.CollapseID) > MaxCollapseBytes {
		f.addf(at+"/collapse_id", "too_long", "collapse_id has at most %d bytes, this one has %d", MaxCollapseBytes, len(n.CollapseID))
	}
	if p := n.EffectivePriority(); p != PriorityHigh && p != PriorityNormal {
		f.addf(at+"/priority", "unknown_value", "priority %q: use %s or %s", word(string(p)), PriorityHigh, PriorityNormal)
	}
	if ttl := n.TTLSeconds(); ttl < 0 || ttl > MaxTTL {
		f.addf(at+"/ttl", "out_of_range", "ttl is 0 to %d seconds, this one is %d", MaxTTL, ttl)
	}
	if n.Badge != nil && *n.Badge < 0 {
		f.addf(at+"/badge", "out_of_range", "badge is 0 or more, this one is %d", *n.Badge)
	}
	if n.Image != "" && !strings.HasPrefix(n.Image, "https://") && !strings.HasPrefix(n.Image, "http://") {
		f.addf(at+"/image", "malformed", "image is an http or https URL")
	}
	n.validateMode(f)
	if !n.Visible() && len(n.Data) == 0 && n.APNs == nil && len(n.FCM)+len(n.WebPush) == 0 && n.Mode != ModeAlert && n.Mode != ModeBackground {
		f.addf(at, "required", "the notification is empty: give it a title, a body or data")
	}
	for _, k := range slices.Sorted(maps.Keys(n.Data)) {
		validateDataKey(f, k)
	}
}

// validateDataKey refuses the names that FCM reserves for itself
// (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages,
// "data"), Apple's "aps", and ours.
func validateDataKey(f *fieldErrors, k string) {
	at := "/notification/data/" + escapePointer(k)
	reserved := k == "from" || k == "message_type" || k == "notification" || k == "aps" ||
		strings.HasPrefix(k, "google.") || strings.HasPrefix(k, "gcm.") || strings.HasPrefix(k, "_")
	if k == "" || reserved {
		f.addf(at, "reserved", "data key %q is reserved: from, message_type, notification, aps, and names that begin with google., gcm. or _", clip(k))
	}
}
