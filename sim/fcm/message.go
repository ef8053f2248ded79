package fcm

import (
	"regexp"
	"strings"
	"time"
)

// Limits of FCM's v1 REST reference and of Firebase's page "About FCM messages".
const (
	maxTTL           = 28 * 24 * time.Hour // also the default
	maxTokenMessage  = 4096                // bytes
	maxTopicMessage  = 2048                // bytes
	maxConditionSize = 5                   // topics
)

// message is a request that fits the schema.
type message struct {
	raw          []byte
	received     time.Time
	validateOnly bool
	token        string
	collapse     string
	ttl          time.Duration
}

// parseMessage checks a body as far as that is possible without knowing the
// recipient. The message is never nil, but empty if there is a problem.
func parseMessage(raw []byte, schema *messageType) (*message, *problem) {
	root, err := parseValue(raw)
	if err != nil || root.kind != object {
		return &message{}, malformed([]violation{{
			Description: "Invalid JSON payload received. Unexpected token.\n" + head(raw) + "\n^",
		}})
	}
	var c checker
	c.object("", schema, &root)
	m := root.get("message")
	if len(c.wrong) == 0 {
		c.oneTarget(m)
	}
	if len(c.wrong) > 0 {
		return &message{}, malformed(c.wrong)
	}
	out := &message{
		raw: raw, ttl: maxTTL,
		validateOnly: root.get("validate_only").scalar == "true",
		token:        m.get("token").scalar,
		collapse:     m.get("android").get("collapse_key").scalar,
	}
	if ttl := m.get("android").get("ttl"); ttl.kind == text {
		out.ttl, _ = parseDuration(ttl.scalar) // the schema checked it
	}
	if p := checkMessage(m, out); p != nil {
		return out, p
	}
	return out, nil
}

// head is the part of a broken body that Google's error text shows.
func head(raw []byte) string {
	const shown = 20
	return strings.ToValidUTF8(string(raw[:min(len(raw), shown)]), "?")
}

// oneTarget: token, topic and condition are a protobuf oneof.
func (c *checker) oneTarget(m *value) {
	set := false
	for _, name := range []string{"token", "topic", "condition"} {
		if m.get(name).kind != text {
			continue
		}
		if set {
			c.add("message", "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '%s'", name)
		}
		set = true
	}
}

// checkMessage checks what FCM itself refuses, after the front end.
func checkMessage(m *value, out *message) *problem {
	topic, condition := m.get("topic").scalar, m.get("condition").scalar
	limit, kind := maxTopicMessage, "Topic"
	if out.token != "" {
		limit, kind = maxTokenMessage, "Android"
	}
	switch {
	case m.kind != object:
		return invalid("message", "Message is not set.")
	case out.token == "" && topic == "" && condition == "":
		return invalid("message", "Recipient of the message is not set.")
	case topic != "" && !isTopicName(topic):
		return invalid("message.topic", "Malformed topic name: "+topic)
	case condition != "" && !isCondition(condition):
		return invalid("message.condition", "Invalid condition expression provided.")
	case out.ttl < 0 || out.ttl > maxTTL:
		return invalid("message.android.ttl", "Invalid ttl: must be between 0 and 2419200 seconds.")
	case size(m) > limit:
		return invalid("message", kind+" message is too big")
	}
	if p := checkData(m); p != nil {
		return p
	}
	return checkDetails(m)
}

// checkData refuses the keys that FCM uses itself.
func checkData(m *value) *problem {
	for _, at := range []string{"", "android"} {
		data, path := m.get("data"), "message.data"
		if at != "" {
			data, path = m.get(at).get("data"), "message."+at+".data"
		}
		for _, e := range data.members {
			if isReserved(e.name) {
				return invalid(path, "Invalid data payload key: "+e.name)
			}
		}
	}
	return nil
}

func isReserved(key string) bool {
	switch key {
	case "from", "message_type", "notification":
		return true
	}
	return strings.HasPrefix(key, "google.") || strings.HasPrefix(key, "gcm.")
}

func checkDetails(m *value) *problem {
	color := m.get("android").get("notification").get("color").scalar
	if color != "" && !matches(`^#[0-9a-fA-F]{6}$`, color) {
		return invalid("message.android.notification.color", "Invalid color: must be in #rrggbb format.")
	}
	link := m.get("webpush").get("fcm_options").get("link").scalar
	if link != "" && !strings.HasPrefix(link, "https://") {
		return invalid("message.webpush.fcm_options.link", "Invalid link: HTTPS is required.")
	}
	for _, at := range []string{"", "android", "apns", "webpush"} {
		owner, path := m, "message.fcm_options.analytics_label"
		if at != "" {
			owner, path = m.get(at), "message."+at+".fcm_options.analytics_label"
		}
		label := owner.get("fcm_options").get("analytics_label").scalar
		if label != "" && !matches(`^[a-zA-Z0-9-_.~%]{1,50}$`, label) {
			return invalid(path, "Invalid analytics label: "+label)
		}
	}
	return nil
}

// size is what counts against the limit: the notification and the data that a
// phone gets, keys and values.
func size(m *value) int {
	android := m.get("android")
	n := textSize(m.get("notification")) + textSize(android.get("notification"))
	if data := android.get("data"); data.kind == object {
		return n + textSize(data) // it replaces the common data
	}
	return n + textSize(m.get("data"))
}

func textSize(v *value) int {
	n := len(v.scalar)
	for i := range v.items {
		n += textSize(&v.items[i])
	}
	for i := range v.members {
		n += len(v.members[i].name) + textSize(&v.members[i].value)
	}
	return n
}

func isTopicName(s string) bool {
	return matches(`^[a-zA-Z0-9-_.~%]+$`, strings.TrimPrefix(s, "/topics/"))
}

// isCondition takes 'a' in topics joined by &&, || and parentheses, up to five.
func isCondition(s string) bool {
	term := `'[a-zA-Z0-9-_.~%]+' in topics`
	return matches(`^[!( ]*`+term+`[ )]*(?:(?:&&|\|\|)[!( ]*`+term+`[ )]*)*$`, s) &&
		strings.Count(s, "'") <= 2*maxConditionSize && strings.Count(s, "(") == strings.Count(s, ")")
}

// matches compiles anew each time: the fields that need it are rare.
func matches(pattern, s string) bool { return regexp.MustCompile(pattern).MatchString(s) }
