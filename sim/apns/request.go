package apns

import (
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/diaphone-dev/diaphone/sim/phone"
)

// Limits of Apple's page "Sending notification requests to APNs".
const (
	maxCollapseID  = 64 // bytes
	maxPayload     = 4096
	maxVoIPPayload = 5120
	maxTokenDigits = 200
	// maxStorage is how long APNs keeps a notification at most, and how long
	// without an apns-expiration.
	maxStorage = 30 * 24 * time.Hour
)

const devicePath = "/3/device/"

// request is a request's headers. Of the optional headers an empty value and a
// missing one mean the same, but for those that seen tells apart.
type request struct {
	method, path, authority string
	authorization           string
	id, collapseID          string
	topic, pushType         string
	priority, expiration    string

	device    string // the token of the path, lower case
	deviceErr reason // why there is none

	seen       seenHeaders
	duplicated bool
	kept       []phone.Header // for the inbox: apns-* only, never the authorization
	received   time.Time
}

type seenHeaders uint8

const (
	seenAuthorization seenHeaders = 1 << iota
	seenID
	seenCollapseID
	seenTopic
	seenPushType
	seenPriority
	seenExpiration
)

func parseRequest(fields []hpack.HeaderField, received time.Time) *request {
	r := &request{received: received, kept: make([]phone.Header, 0, 6)}
	for _, f := range fields {
		switch f.Name {
		case ":method":
			r.method = f.Value
		case ":path":
			r.path = f.Value
		case ":authority":
			r.authority = f.Value
		case "authorization":
			r.take(seenAuthorization, &r.authorization, f)
		case "apns-id":
			r.take(seenID, &r.id, f)
		case "apns-collapse-id":
			r.take(seenCollapseID, &r.collapseID, f)
		case "apns-topic":
			r.take(seenTopic, &r.topic, f)
		case "apns-push-type":
			r.take(seenPushType, &r.pushType, f)
		case "apns-priority":
			r.take(seenPriority, &r.priority, f)
		case "apns-expiration":
			r.take(seenExpiration, &r.expiration, f)
		}
	}
	r.device, r.deviceErr = deviceOf(r.path)
	return r
}

func (r *request) take(bit seenHeaders, into *string, f hpack.HeaderField) {
	if r.seen&bit != 0 {
		r.duplicated = true
		return
	}
	r.seen |= bit
	*into = f.Value
	if bit != seenAuthorization {
		r.kept = append(r.kept, phone.Header{Name: f.Name, Value: f.Value})
	}
}

// deviceOf returns the device token of a path in lower case, or why there is none.
func deviceOf(path string) (string, reason) {
	token, found := strings.CutPrefix(path, devicePath)
	switch {
	case !found && path+"/" != devicePath:
		return "", badPath
	case token == "" || !found:
		return "", missingDeviceToken
	case strings.Contains(token, "/"):
		return "", badPath
	}
	// Apple gives no length for a token and says that it may change.
	token = strings.ToLower(token)
	if len(token)%2 != 0 || len(token) > maxTokenDigits || !isHex(token) {
		return "", badDeviceToken
	}
	return token, ""
}

// environment is the half of APNs that the sender asked for by host name; hosts
// that are not Apple's, like localhost, leave it at the default.
func (r *request) environment(otherwise phone.Environment) phone.Environment {
	host, _, _ := strings.Cut(r.authority, ":")
	switch strings.ToLower(host) {
	case "api.push.apple.com":
		return phone.Production
	case "api.sandbox.push.apple.com", "api.development.push.apple.com":
		return phone.Sandbox
	default:
		return otherwise
	}
}

// pushRule is what a push type asks of the other headers.
type pushRule struct {
	suffix     string   // of the topic
	priorities priority // those allowed
	payload    int      // bytes
	needsAps   bool     // the types that the system reads; apps read the others themselves
	pushKit    bool     // goes to a PushKit token
}

// priority is a set of values of apns-priority.
type priority uint8

const (
	immediate  priority = 1 << iota // 10
	powerAware                      // 5
	lowest                          // 1

	anyPriority = immediate | powerAware | lowest
)

func priorityOf(value string) priority {
	switch value {
	case "10":
		return immediate
	case "5":
		return powerAware
	case "1":
		return lowest
	default:
		return 0
	}
}

// ruleOf returns the rule of a push type. A sender that names none means alert.
func ruleOf(pushType string) (pushRule, bool) {
	switch pushType {
	case "alert", "":
		return pushRule{priorities: anyPriority, payload: maxPayload, needsAps: true}, true
	case "background":
		return pushRule{priorities: powerAware, payload: maxPayload, needsAps: true}, true
	case "voip":
		return pushRule{suffix: ".voip", priorities: immediate, payload: maxVoIPPayload, pushKit: true}, true
	case "complication":
		return pushRule{suffix: ".complication", priorities: immediate | powerAware, payload: maxPayload, pushKit: true}, true
	case "fileprovider":
		return pushRule{suffix: ".pushkit.fileprovider", priorities: anyPriority, payload: maxPayload, pushKit: true}, true
	case "mdm":
		return pushRule{priorities: anyPriority, payload: maxPayload}, true
	case "location":
		return pushRule{suffix: ".location-query", priorities: immediate | powerAware, payload: maxPayload}, true
	case "liveactivity":
		return pushRule{suffix: ".push-type.liveactivity", priorities: immediate | powerAware, payload: maxPayload, needsAps: true}, true
	case "pushtotalk":
		return pushRule{suffix: ".voip-ptt", priorities: immediate, payload: maxPayload}, true
	case "widgets":
		return pushRule{suffix: ".push-type.widgets", priorities: anyPriority, payload: maxPayload, needsAps: true}, true
	case "controls":
		return pushRule{suffix: ".push-type.controls", priorities: anyPriority, payload: maxPayload, needsAps: true}, true
	default:
		return pushRule{}, false
	}
}

// isSuffixed reports whether a topic ends like one of a push type other than
// alert, so that an alert to it is recognised as a mistake.
func isSuffixed(topic string) bool {
	for _, t := range []string{
		"voip", "complication", "fileprovider", "location", "liveactivity", "pushtotalk", "widgets", "controls",
	} {
		if rule, _ := ruleOf(t); strings.HasSuffix(topic, rule.suffix) {
			return true
		}
	}
	return false
}
