package fcm

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
	rest []byte // the message object without "data", "token" and its closing brace
	data []byte // the data object without its closing brace
	ttl  int    // seconds that were left
}

// render builds the message. Its errors point at the field at fault.
func render(m *diaphone.Message, ttl int) (*rendering, error) {
	if err := check(m); err != nil {
		return nil, err
	}
	message := objectOf(m, ttl)
	if err := override(message, m.Notification); err != nil {
		return nil, err
	}
	data, err := dataOf(message, m.ID)
	if err != nil {
		return nil, err
	}
	delete(message, "data")
	r := &rendering{ttl: ttl}
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

// check refuses what the SDK would refuse.
func check(m *diaphone.Message) error {
	if m == nil || m.Notification == nil {
		return diaphone.InvalidField("/notification", "required", "the message has no notification")
	}
	if image := m.Notification.Image; image != "" {
		if _, err := url.ParseRequestURI(image); err != nil {
			return diaphone.InvalidField("/notification/image", "malformed", "image is not a URL that FCM accepts")
		}
	}
	return nil
}

// objectOf gives the message as a JSON object, for the publisher's fields to be merged
// into; a test holds it to what the SDK's own types come to. Priority and TTL are
// always explicit: Google's pages disagree about their defaults.
func objectOf(m *diaphone.Message, ttl int) map[string]any {
	n := m.Notification
	android := map[string]any{
		// The SDK says "high"; the API's own words are upper case (AndroidMessagePriority).
		"priority": strings.ToUpper(string(n.EffectivePriority())),
		"ttl":      strconv.Itoa(ttl) + "s",
	}
	setText(android, "collapse_key", n.CollapseID)
	message := map[string]any{"android": android}
	if len(n.Data) > 0 {
		data := make(map[string]any, len(n.Data)+1)
		for k, v := range n.Data {
			data[k] = v
		}
		message["data"] = data
	}
	if n.Mode != diaphone.ModeVoIP { // calls to iOS take another way
		message["apns"] = appleObjectOf(m, ttl)
	}
	if shows(n) {
		shown, shade := map[string]any{}, map[string]any{}
		setText(shown, "title", n.Title)
		setText(shown, "body", n.Body)
		setText(shown, "image", n.Image)
		setText(shade, "sound", n.Sound)
		setText(shade, "tag", n.CollapseID)
		if n.Badge != nil {
			shade["notification_count"] = *n.Badge
		}
		message["notification"], android["notification"] = shown, shade
	}
	return message
}

func setText(object map[string]any, name, text string) {
	if text != "" {
		object[name] = text
	}
}

// shows tells whether the system shows the message, and the app's code does not run:
// so a badge or a sound alone must not have a "notification".
func shows(n *diaphone.Notification) bool { return n.Title != "" || n.Body != "" || n.Image != "" }

// appleObjectOf is the part for APNs.
func appleObjectOf(m *diaphone.Message, ttl int) map[string]any {
	n := m.Notification
	aps, headers := map[string]any{}, map[string]any{}
	if n.Badge != nil {
		aps["badge"] = *n.Badge
	}
	setText(aps, "sound", n.Sound)
	if n.Silent() {
		aps["content-available"] = 1
	}
	if n.Image != "" {
		aps["mutable-content"] = 1
	}
	for name, value := range appleHeaders(m, ttl) {
		headers[name] = value
	}
	return map[string]any{"headers": headers, "payload": map[string]any{"aps": aps}}
}

// appleHeaders say what FCM is to tell APNs, for iOS apps that hold FCM tokens
// (firebase_messaging): without push type, priority 5 and content-available a
// data message does not wake them.
func appleHeaders(m *diaphone.Message, ttl int) map[string]string {
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
	return headers
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
