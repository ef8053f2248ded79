package fcm

import "strings"

const typePrefix = "type.googleapis.com/google.firebase.fcm.v1."

// fieldKind is how a field is checked.
type fieldKind int

const (
	stringField fieldKind = iota
	boolField
	intField
	floatField
	enumField
	durationField
	timestampField
	messageField
	stringMap // map<string, string>
	anyObject // google.protobuf.Struct
)

type field struct {
	name     string // as in the proto file
	kind     fieldKind
	repeated bool
	enum     []string
	typeName string       // of enums and maps, for error texts
	message  *messageType // of messageField
}

// messageType is a protobuf message. JSON may use the name of the proto file or
// its lowerCamelCase form (protobuf's JSON mapping).
type messageType struct {
	name   string
	fields map[string]*field
}

func newType(name string, fields ...field) *messageType {
	t := &messageType{name: typePrefix + name, fields: map[string]*field{}}
	for _, f := range fields {
		t.fields[f.name] = &f
		t.fields[camelCase(f.name)] = &f
	}
	return t
}

func camelCase(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

func of(kind fieldKind, names ...string) []field {
	out := make([]field, len(names))
	for i, n := range names {
		out[i] = field{name: n, kind: kind}
	}
	return out
}

func repeated(kind fieldKind, names ...string) []field {
	out := of(kind, names...)
	for i := range out {
		out[i].repeated = true
	}
	return out
}

func sub(name string, t *messageType) field {
	return field{name: name, kind: messageField, message: t}
}

func enum(name, typeName string, values ...string) field {
	return field{name: name, kind: enumField, enum: values, typeName: typePrefix + typeName}
}

func entries(name, typeName string) field {
	return field{name: name, kind: stringMap, typeName: typePrefix + typeName}
}

func join(groups ...[]field) []field {
	var out []field
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// requestType is the body of projects.messages.send, complete as of the v1 REST
// reference "projects.messages".
func requestType() *messageType {
	label := newType("FcmOptions", of(stringField, "analytics_label")...)
	return newType("SendMessageRequest",
		field{name: "validate_only", kind: boolField},
		sub("message", newType("Message", join(
			of(stringField, "name", "token", "topic", "condition"),
			[]field{
				entries("data", "Message.DataEntry"),
				sub("notification", newType("Notification", of(stringField, "title", "body", "image")...)),
				sub("android", androidType()),
				sub("apns", newType("ApnsConfig",
					entries("headers", "ApnsConfig.HeadersEntry"),
					field{name: "payload", kind: anyObject},
					sub("fcm_options", newType("ApnsFcmOptions", of(stringField, "analytics_label", "image")...)),
					field{name: "live_activity_token", kind: stringField},
				)),
				sub("webpush", newType("WebpushConfig",
					entries("headers", "WebpushConfig.HeadersEntry"),
					entries("data", "WebpushConfig.DataEntry"),
					field{name: "notification", kind: anyObject},
					sub("fcm_options", newType("WebpushFcmOptions", of(stringField, "link", "analytics_label")...)),
				)),
				sub("fcm_options", label),
			},
		)...)),
	)
}

func androidType() *messageType {
	return newType("AndroidConfig", join(
		of(stringField, "collapse_key", "restricted_package_name"),
		of(durationField, "ttl"),
		of(boolField, "direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok"),
		[]field{
			enum("priority", "AndroidConfig.AndroidMessagePriority", "NORMAL", "HIGH"),
			entries("data", "AndroidConfig.DataEntry"),
			sub("notification", androidNotificationType()),
			sub("fcm_options", newType("AndroidFcmOptions", of(stringField, "analytics_label")...)),
		},
	)...)
}

func androidNotificationType() *messageType {
	color := newType("Color", of(floatField, "red", "green", "blue", "alpha")...)
	return newType("AndroidNotification", join(
		of(stringField, "title", "body", "icon", "color", "sound", "tag", "click_action",
			"body_loc_key", "title_loc_key", "channel_id", "ticker", "image"),
		repeated(stringField, "body_loc_args", "title_loc_args"),
		of(boolField, "sticky", "local_only", "default_sound", "default_vibrate_timings",
			"default_light_settings", "bypass_proxy_notification"),
		of(timestampField, "event_time"),
		of(intField, "notification_count"),
		repeated(durationField, "vibrate_timings"),
		[]field{
			enum("notification_priority", "AndroidNotification.NotificationPriority", "PRIORITY_UNSPECIFIED",
				"PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"),
			enum("visibility", "AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
			enum("proxy", "AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
			sub("light_settings", newType("LightSettings",
				sub("color", color),
				field{name: "light_on_duration", kind: durationField},
				field{name: "light_off_duration", kind: durationField},
			)),
		},
	)...)
}
