package fcm

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebase.google.com/go/v4/messaging"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// payloadLimit is Google's on a message to a token. Google does not say which
// bytes it counts. We count the whole JSON of "message" but for "token": that is
// never less than what Google can mean, so what we accept is never refused.
const payloadLimit = 4096

// rendering is a message as every device is sent it, but for its token and the
// delivery's id.
type rendering struct {
	typed *messaging.Message // for the SDK; read-only
	rest  []byte             // the message object without "data", "token" and its closing brace
	data  []byte             // the data object without its closing brace
	ttl   int                // seconds that were left
}

// render builds the message. Its errors point at the field at fault.
func render(m *diaphone.Message, ttl int) (*rendering, error) {
	typed, err := typedOf(m, ttl)
	if err != nil {
		return nil, err
	}
	message, err := jsonOf(typed)
	if err != nil {
		return nil, err
	}
	if err := override(message, m.Notification); err != nil {
		return nil, err
	}
	data, err := dataOf(message, m.ID)
	if err != nil {
		return nil, err
	}
	delete(message, "data")
	r := &rendering{typed: typed, ttl: ttl}
	if r.rest, err = unclosed(message); err != nil {
		return nil, err
	}
	if r.data, err = unclosed(data); err != nil {
		return nil, err
	}
	return r, exchange.Fits("FCM message", len(r.message("", ""))+exchange.DeliveryIDSize, payloadLimit)
}

// message completes the JSON for one delivery; without a token it is what counts
// against the limit. What differs between deliveries comes last, so that the
// rest is rendered once a message.
func (r *rendering) message(delivery, token string) []byte {
	b := make([]byte, 0, len(r.rest)+len(r.data)+len(delivery)+len(token)+64)
	b = append(b, r.rest...)
	if len(r.rest) > len("{") {
		b = append(b, ',')
	}
	b = append(b, `"data":`...)
	b = append(b, r.data...) // never empty: "_mid" is always there
	b = append(b, `,"`+exchange.KeyDelivery+`":`...)
	b = strconv.AppendQuote(b, delivery) // a UUID: nothing to escape
	b = append(b, '}')
	if token != "" {
		b = append(b, `,"token":`...)
		b = appendString(b, token)
	}
	return append(b, '}')
}

// body is the request's body for one delivery.
func (r *rendering) body(delivery, token string) []byte {
	return slices.Concat([]byte(`{"message":`), r.message(delivery, token), []byte{'}'})
}

// typedOf gives the message in the SDK's types. Priority and TTL are always
// explicit: Google's pages disagree about their defaults.
func typedOf(m *diaphone.Message, ttl int) (*messaging.Message, error) {
	if m == nil || m.Notification == nil {
		return nil, diaphone.InvalidField("/notification", "required", "the message has no notification")
	}
	n := m.Notification
	if n.Image != "" {
		if _, err := url.ParseRequestURI(n.Image); err != nil { // the SDK's own check
			return nil, diaphone.InvalidField("/notification/image", "malformed", "image is not a URL that FCM accepts")
		}
	}
	life := time.Duration(ttl) * time.Second
	t := &messaging.Message{
		Data: n.Data,
		Android: &messaging.AndroidConfig{
			Priority:    string(n.EffectivePriority()),
			TTL:         &life,
			CollapseKey: n.CollapseID,
		},
	}
	if n.Mode != diaphone.ModeVoIP { // calls to iOS take another way
		t.APNS = apnsOf(m, ttl)
	}
	// A message with "notification" is shown by the system, and the app's code does
	// not run; so a badge or a sound alone must not make one.
	if n.Title != "" || n.Body != "" || n.Image != "" {
		t.Notification = &messaging.Notification{Title: n.Title, Body: n.Body, ImageURL: n.Image}
		t.Android.Notification = &messaging.AndroidNotification{Sound: n.Sound, Tag: n.CollapseID, NotificationCount: n.Badge}
	}
	return t, nil
}

// apnsOf says what FCM is to tell APNs, for iOS apps that hold FCM tokens
// (firebase_messaging): without push type, priority 5 and content-available a
// data message does not wake them.
func apnsOf(m *diaphone.Message, ttl int) *messaging.APNSConfig {
	n := m.Notification
	headers := map[string]string{"apns-push-type": "background", "apns-priority": "5"}
	if !n.Silent() {
		headers["apns-push-type"] = "alert"
		if n.EffectivePriority() == diaphone.PriorityHigh {
			headers["apns-priority"] = "10"
		}
	}
	switch {
	case ttl == 0:
		headers["apns-expiration"] = "0"
	case !m.Expires.IsZero():
		headers["apns-expiration"] = strconv.FormatInt(m.Expires.Unix(), 10)
	}
	if n.CollapseID != "" {
		headers["apns-collapse-id"] = n.CollapseID
	}
	return &messaging.APNSConfig{Headers: headers, Payload: &messaging.APNSPayload{Aps: &messaging.Aps{
		Badge:            n.Badge,
		Sound:            n.Sound,
		ContentAvailable: n.Silent(),
		MutableContent:   n.Image != "",
	}}}
}

// jsonOf gives the message as the JSON object to merge into.
func jsonOf(typed *messaging.Message) (map[string]any, error) {
	text, err := typed.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode the FCM message: %w", err)
	}
	message, err := exchange.Object(text)
	if err != nil {
		return nil, fmt.Errorf("encode the FCM message: %w", err)
	}
	// The SDK accepts "high" only and sends it so; the API's own words are upper
	// case (AndroidMessagePriority).
	android := message["android"].(map[string]any)
	android["priority"] = strings.ToUpper(android["priority"].(string))
	return message, nil
}

// override merges what the publisher set last.
func override(message map[string]any, n *diaphone.Notification) error {
	if len(n.FCM) == 0 {
		return nil
	}
	const at = "/notification/fcm"
	patch, err := exchange.Object(n.FCM)
	if err != nil {
		return diaphone.InvalidField(at, "malformed", "fcm: %v", err)
	}
	for _, k := range []string{"token", "topic", "condition"} {
		if _, set := patch[k]; set {
			return diaphone.InvalidField(at+"/"+k, "not_allowed", "fcm.%s: the audience says where a message goes", k)
		}
	}
	if _, set := patch["notification"]; set && n.Mode != "" && n.Silent() {
		return diaphone.InvalidField(at+"/notification", "contradiction", "fcm.notification: with mode %s the app's code gets the message, and nothing is shown", n.Mode)
	}
	if data, ok := patch["data"].(map[string]any); ok {
		for _, k := range []string{exchange.KeyMessage, exchange.KeyDelivery} {
			if _, set := data[k]; set {
				return diaphone.InvalidField(at+"/data/"+k, "reserved", "fcm.data: %q is set by the gateway", k)
			}
		}
	}
	exchange.Merge(message, patch)
	return nil
}

// dataOf gives the data of the merged message, with our key for the message.
func dataOf(message map[string]any, id diaphone.MessageID) (map[string]any, error) {
	const at = "/notification/fcm/data"
	data, isObject := message["data"].(map[string]any)
	if message["data"] != nil && !isObject {
		return nil, diaphone.InvalidField(at, "malformed", "fcm.data: it is not a JSON object")
	}
	if data == nil {
		data = map[string]any{}
	}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if _, isText := data[k].(string); !isText {
			name := strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
			return nil, diaphone.InvalidField(at+"/"+name, "malformed", "fcm.data: FCM carries strings only")
		}
	}
	data[exchange.KeyMessage] = exchange.MessageID(id)
	return data, nil
}

// unclosed encodes an object and leaves its closing brace off.
func unclosed(object map[string]any) ([]byte, error) {
	text, err := exchange.Encode(object)
	if err != nil {
		return nil, fmt.Errorf("encode the FCM message: %w", err)
	}
	return text[:len(text)-1], nil
}

// appendString quotes a token. Registration has seen to it that it is printable
// ASCII, where Go's quoting and JSON's are the same.
func appendString(b []byte, s string) []byte { return strconv.AppendQuote(b, s) }
