package apns

import (
	"fmt"
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// keyImage is where an app's service extension finds the image, beside "aps".
const keyImage = "image"

// rendering is a message as every device is sent it, but for the delivery's id.
type rendering struct {
	headers
	open []byte // the payload object without its last member and closing brace
}

// render builds headers and payload. Its errors point at the field at fault.
func render(m *diaphone.Message, bundle string) (*rendering, error) {
	if m == nil || m.Notification == nil {
		return nil, diaphone.InvalidField("/notification", "required", "the message has no notification")
	}
	h, err := headersOf(m, bundle)
	if err != nil {
		return nil, err
	}
	body, err := payloadOf(m)
	if err != nil {
		return nil, err
	}
	text, err := exchange.Encode(body)
	if err != nil {
		return nil, fmt.Errorf("encode the APNs payload: %w", err)
	}
	r := &rendering{headers: h, open: text[:len(text)-1]}
	return r, exchange.Fits("APNs payload", len(r.payload(""))+exchange.DeliveryIDSize, h.limit)
}

// payload completes the JSON for one delivery. The delivery's id comes last so
// that the rest is rendered once a message; the object is never empty before it,
// for "_mid" is always there.
func (r *rendering) payload(delivery string) []byte {
	b := make([]byte, 0, len(r.open)+len(exchange.KeyDelivery)+len(delivery)+7)
	b = append(b, r.open...)
	b = append(b, `,"`+exchange.KeyDelivery+`":`...)
	b = strconv.AppendQuote(b, delivery) // a UUID: nothing to escape
	return append(b, '}')
}

// payloadOf gives the payload without "_nid", overrides merged last.
func payloadOf(m *diaphone.Message) (map[string]any, error) {
	n := m.Notification
	body := map[string]any{"aps": apsOf(n)}
	for k, v := range n.Data {
		body[k] = v
	}
	if n.Image != "" {
		body[keyImage] = n.Image
	}
	if n.APNs != nil {
		if err := override(body, n.APNs); err != nil {
			return nil, err
		}
	}
	body[exchange.KeyMessage] = exchange.MessageID(m.ID)
	return body, nil
}

// apsOf gives Apple's part of the payload.
func apsOf(n *diaphone.Notification) map[string]any {
	aps := map[string]any{}
	alert := map[string]any{}
	if n.Title != "" {
		alert["title"] = n.Title
	}
	if n.Body != "" {
		alert["body"] = n.Body
	}
	if len(alert) > 0 {
		aps["alert"] = alert
	}
	if n.Badge != nil {
		aps["badge"] = *n.Badge
	}
	if n.Sound != "" {
		aps["sound"] = n.Sound
	}
	if n.Image != "" { // the app's service extension fetches it
		aps["mutable-content"] = 1
	}
	if n.APNsPushType() == "background" {
		aps["content-available"] = 1
	}
	return aps
}

func override(body map[string]any, o *diaphone.APNsOverride) error {
	const at = "/notification/apns/"
	if len(o.APS) > 0 {
		aps, err := exchange.Object(o.APS)
		if err != nil {
			return diaphone.InvalidField(at+"aps", "malformed", "apns.aps: %v", err)
		}
		exchange.Merge(body["aps"].(map[string]any), aps)
	}
	if len(o.Data) > 0 {
		data, err := exchange.Object(o.Data)
		if err != nil {
			return diaphone.InvalidField(at+"data", "malformed", "apns.data: %v", err)
		}
		for _, k := range []string{"aps", exchange.KeyMessage, exchange.KeyDelivery} {
			if _, taken := data[k]; taken {
				return diaphone.InvalidField(at+"data/"+k, "reserved", "apns.data: %q is set by the gateway", k)
			}
		}
		exchange.Merge(body, data)
	}
	return nil
}
