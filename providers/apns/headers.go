package apns

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/diaphone-dev/diaphone"
)

// The headers that a notification may override. Everything else about the
// request (authorization, apns-id, …) is ours.
const (
	headerPushType   = "apns-push-type"
	headerPriority   = "apns-priority"
	headerTopic      = "apns-topic"
	headerExpiration = "apns-expiration"
	headerCollapseID = "apns-collapse-id"
)

const (
	payloadLimit = 4096
	voipLimit    = 5120
)

// pushType is what Apple asks of one value of apns-push-type ("Sending
// notification requests to APNs").
type pushType struct {
	suffix string // of the topic
	limit  int    // bytes of payload
	calm   bool   // priority 10 is an error
}

var pushTypes = map[string]pushType{
	"alert":        {limit: payloadLimit},
	"background":   {limit: payloadLimit, calm: true},
	"voip":         {limit: voipLimit, suffix: ".voip"},
	"complication": {limit: payloadLimit, suffix: ".complication"},
	"fileprovider": {limit: payloadLimit, suffix: ".pushkit.fileprovider"},
	"mdm":          {limit: payloadLimit},
	"location":     {limit: payloadLimit, suffix: ".location-query"},
	"liveactivity": {limit: payloadLimit, suffix: ".push-type.liveactivity"},
	"pushtotalk":   {limit: payloadLimit, suffix: ".voip-ptt"},
	"widgets":      {limit: payloadLimit, suffix: ".push-type.widgets"},
	"controls":     {limit: payloadLimit, suffix: ".push-type.controls"},
}

// headers are the message's own request headers as APNs gets them.
type headers struct {
	pushType   string
	topic      string
	foreign    bool // the topic is the publisher's own
	priority   int
	expiration string // epoch seconds; "0": now or never; "": APNs' own policy
	collapseID string
	limit      int
}

func (h *headers) fields() map[string]string {
	f := map[string]string{headerPushType: h.pushType, headerTopic: h.topic, headerPriority: strconv.Itoa(h.priority)}
	if h.expiration != "" {
		f[headerExpiration] = h.expiration
	}
	if h.collapseID != "" {
		f[headerCollapseID] = h.collapseID
	}
	return f
}

// headersOf gives the headers of the message, overrides included.
func headersOf(m *diaphone.Message, bundle string) (headers, error) {
	n := m.Notification
	var override map[string]string
	if n.APNs != nil {
		override = n.APNs.Headers
	}
	for _, name := range slices.Sorted(maps.Keys(override)) {
		if err := checkHeader(name, override[name]); err != nil {
			return headers{}, err
		}
	}
	if !every(n.CollapseID, isPrintable) {
		return headers{}, diaphone.InvalidField("/notification/collapse_id", "malformed",
			"collapse_id travels in an HTTP header: it has no control characters")
	}
	h := headers{priority: 10, expiration: expiration(m), collapseID: n.CollapseID}
	h.pushType = pick(override, headerPushType, n.APNsPushType())
	kind := pushTypes[h.pushType]
	if kind.calm || n.EffectivePriority() == diaphone.PriorityNormal {
		h.priority = 5
	}
	if p, ok := override[headerPriority]; ok {
		h.priority, _ = strconv.Atoi(p) // checkHeader has seen to it
	}
	if kind.calm && h.priority == 10 {
		return headers{}, invalidHeader(headerPriority, "a %s push has priority 5 or 1; 10 is an error at Apple", h.pushType)
	}
	h.topic = pick(override, headerTopic, bundle+kind.suffix)
	_, h.foreign = override[headerTopic]
	h.expiration = pick(override, headerExpiration, h.expiration)
	h.collapseID = pick(override, headerCollapseID, h.collapseID)
	h.limit = kind.limit
	return h, nil
}

func pick(override map[string]string, name, otherwise string) string {
	if v, ok := override[name]; ok {
		return v
	}
	return otherwise
}

// expiration: 0 and an absent header are different things to Apple. 0 is one
// attempt and no storing, absent is Apple's own storage policy.
func expiration(m *diaphone.Message) string {
	if m.Notification.TTLSeconds() == 0 || m.Notification.Mode == diaphone.ModeVoIP {
		return "0" // what rings late is worse than what never rings
	}
	at := m.Expires
	if at.IsZero() && !m.AcceptedAt.IsZero() {
		at = m.Notification.Deadline(m.AcceptedAt)
	}
	if at.IsZero() {
		return ""
	}
	return strconv.FormatInt(at.Unix(), 10)
}

func checkHeader(name, value string) error {
	switch name {
	case headerPushType:
		if _, ok := pushTypes[value]; !ok {
			return invalidHeader(name, "use one of %s", strings.Join(slices.Sorted(maps.Keys(pushTypes)), ", "))
		}
	case headerPriority:
		if value != "10" && value != "5" && value != "1" {
			return invalidHeader(name, "use 10, 5 or 1")
		}
	case headerTopic:
		if value == "" || len(value) > maxTopicSize || !every(value, isTopic) {
			return invalidHeader(name, "a topic is a bundle id with the suffix of the push type")
		}
	case headerExpiration:
		if _, err := strconv.ParseUint(value, 10, 33); err != nil {
			return invalidHeader(name, "use seconds since 1970, or 0 for now or never")
		}
	case headerCollapseID:
		if len(value) > diaphone.MaxCollapseBytes || !every(value, isPrintable) {
			return invalidHeader(name, "at most %d bytes and no control characters", diaphone.MaxCollapseBytes)
		}
	default:
		return invalidHeader(name, "only %s, %s, %s, %s and %s can be set",
			headerPushType, headerPriority, headerTopic, headerExpiration, headerCollapseID)
	}
	return nil
}

func invalidHeader(name, format string, args ...any) error {
	at := "/notification/apns/headers/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return diaphone.InvalidField(at, "not_allowed", "%s: %s", at[len("/notification/"):], fmt.Sprintf(format, args...))
}

func isPrintable(c byte) bool { return c >= ' ' && c != 0x7f }
