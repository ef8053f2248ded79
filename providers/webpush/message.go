package webpush

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// declarative is the mark of Declarative Web Push: Safari shows what bears it
// without running any code of the page's. Other browsers hand it to the page's
// service worker like any message.
const (
	keyDeclarative = "web_push"
	declarative    = 8030
)

const maxTopic = 32 // characters of base64url (RFC 8030 §5.4)

// rendering is a message as every browser is sent it, but for the delivery's id.
type rendering struct {
	ttl     int // seconds that were left
	urgency string
	topic   string
	open    []byte // the JSON up to the delivery's id
}

// What follows the delivery's id: the ends of data, notification and message.
const closing = "}}}"

// render builds the message. Its errors point at the field at fault.
func render(m *diaphone.Message, navigate string, ttl int) (*rendering, error) {
	if m == nil || m.Notification == nil {
		return nil, diaphone.InvalidField("/notification", "required", "the message has no notification")
	}
	n := m.Notification
	r := &rendering{ttl: ttl, urgency: "high", topic: topicOf(n.CollapseID)}
	if n.EffectivePriority() == diaphone.PriorityNormal {
		r.urgency = "normal"
	}
	top, err := documentOf(m, navigate)
	if err != nil {
		return nil, err
	}
	if r.open, err = unfinished(top); err != nil {
		return nil, fmt.Errorf("encode the web push message: %w", err)
	}
	return r, exchange.Fits("web push message", len(r.payload(""))+exchange.DeliveryIDSize, maxMessage)
}

// payload completes the JSON for one delivery.
func (r *rendering) payload(delivery string) []byte {
	b := make([]byte, 0, len(r.open)+len(delivery)+len(closing)+2)
	b = append(b, r.open...)
	b = strconv.AppendQuote(b, delivery) // a UUID: nothing to escape
	return append(b, closing...)
}

func (r *rendering) fields() map[string]string {
	f := map[string]string{"TTL": strconv.Itoa(r.ttl), "Urgency": r.urgency}
	if r.topic != "" {
		f["Topic"] = r.topic
	}
	return f
}

// topicOf gives the Topic of a collapse id: itself where that is allowed.
func topicOf(collapse string) string {
	if len(collapse) <= maxTopic && every(collapse, isBase64URL) {
		return collapse
	}
	sum := sha256.Sum256([]byte(collapse))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:maxTopic]
}

func isBase64URL(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}

// documentOf gives the JSON without "_nid", the publisher's override merged last.
// What is shown has a title, and bears the mark; the rest is the page's to read.
func documentOf(m *diaphone.Message, navigate string) (map[string]any, error) {
	const at = "/notification/webpush"
	top := map[string]any{"notification": notificationOf(m.Notification, navigate, exchange.MessageID(m.ID))}
	if err := override(top, m.Notification.WebPush); err != nil {
		return nil, err
	}
	notification, isObject := top["notification"].(map[string]any)
	if !isObject {
		return nil, diaphone.InvalidField(at+"/notification", "malformed", "webpush.notification: it is not a JSON object")
	}
	title, isText := notification["title"].(string)
	if notification["title"] != nil && !isText {
		return nil, diaphone.InvalidField(at+"/notification/title", "malformed", "webpush.notification.title: it is not a string")
	}
	if title != "" {
		if page, _ := notification["navigate"].(string); page == "" {
			return nil, diaphone.InvalidField(at+"/notification/navigate", "required", "webpush.notification.navigate: the page that a click opens, a URL")
		}
		top[keyDeclarative] = declarative
	}
	data, isObject := notification["data"].(map[string]any)
	if notification["data"] != nil && !isObject {
		return nil, diaphone.InvalidField(at+"/notification/data", "malformed", "webpush.notification.data: it is not a JSON object")
	}
	if data == nil {
		data = map[string]any{}
	}
	data[exchange.KeyMessage] = exchange.MessageID(m.ID)
	notification["data"] = data
	return top, nil
}

func notificationOf(n *diaphone.Notification, navigate, id string) map[string]any {
	o := map[string]any{"navigate": navigate}
	title, body := n.Title, n.Body
	if title == "" { // a browser shows nothing without one
		title, body = body, ""
	}
	for k, v := range map[string]string{"title": title, "body": body, "image": n.Image} {
		if v != "" {
			o[k] = v
		}
	}
	// A newer notification replaces the shown one of the same tag; and one that came
	// twice, itself.
	o["tag"] = cmp.Or(n.CollapseID, id)
	if n.Badge != nil {
		o["app_badge"] = *n.Badge
	}
	data := map[string]any{}
	for k, v := range n.Data {
		data[k] = v
	}
	o["data"] = data
	return o
}

func override(top map[string]any, raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	const at = "/notification/webpush"
	patch, err := exchange.Object(raw)
	if err != nil {
		return diaphone.InvalidField(at, "malformed", "webpush: %v", err)
	}
	if _, set := patch[keyDeclarative]; set {
		return diaphone.InvalidField(at+"/"+keyDeclarative, "reserved", "webpush: %q is set by the gateway", keyDeclarative)
	}
	notification, _ := patch["notification"].(map[string]any)
	if data, ok := notification["data"].(map[string]any); ok {
		for _, k := range []string{exchange.KeyMessage, exchange.KeyDelivery} {
			if _, set := data[k]; set {
				return diaphone.InvalidField(at+"/notification/data/"+k, "reserved", "webpush.notification.data: %q is set by the gateway", k)
			}
		}
	}
	exchange.Merge(top, patch)
	return nil
}

// unfinished encodes the document up to the value of "_nid", which comes last so
// that the rest is rendered once a message.
func unfinished(top map[string]any) ([]byte, error) {
	notification := top["notification"].(map[string]any)
	data := notification["data"]
	delete(top, "notification")
	delete(notification, "data")
	var b []byte
	for _, part := range []struct {
		object any
		next   string
	}{{top, `"notification":`}, {notification, `"data":`}, {data, `"` + exchange.KeyDelivery + `":`}} {
		text, err := exchange.Encode(part.object)
		if err != nil {
			return nil, err
		}
		b = append(b, text[:len(text)-1]...)
		if len(text) > len("{}") {
			b = append(b, ',')
		}
		b = append(b, part.next...)
	}
	return b, nil
}
