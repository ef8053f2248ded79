package apns

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// answer is what APNs says to a request.
type answer struct {
	status     int
	reason     reason
	goneSince  time.Time // with 410
	retryAfter int       // seconds
	body       string    // instead of the reason
	id         string
	uniqueID   string // sandbox only
}

// refuse answers a reason with the status it comes with.
func (s *Server) refuse(r reason) answer {
	return answer{status: s.words.StatusOf(string(r)), reason: r}
}

// name is what the statistics call the answer.
func (a *answer) name() string {
	if a.reason == "" {
		return strconv.Itoa(a.status)
	}
	return string(a.reason)
}

func (a *answer) json() []byte {
	switch {
	case a.body != "":
		return []byte(a.body)
	case a.reason == "":
		return nil
	case a.goneSince.IsZero():
		return []byte(`{"reason":"` + string(a.reason) + `"}`)
	}
	body := append([]byte(`{"reason":"`+string(a.reason)+`","timestamp":`),
		strconv.FormatInt(a.goneSince.UnixMilli(), 10)...)
	return append(body, '}')
}

// faulty is the answer that a fault asks for.
func faulty(f *fault.Fault) answer {
	a := answer{status: f.Status, reason: reason(f.Reason), retryAfter: f.RetryAfter, body: f.Body}
	if a.status == 410 {
		a.goneSince = time.Now()
	}
	return a
}

// judge checks a complete request as APNs does and hands what it accepts to the
// phone.
func (s *Server) judge(key *Key, env phone.Environment, r *request, body []byte) answer {
	rule, topic, why := r.checkHeaders(key)
	if why != "" {
		return s.refuse(why)
	}
	if r.deviceErr != "" {
		return s.refuse(r.deviceErr)
	}
	p, kind := s.fleet.Find(r.device)
	switch {
	case p == nil || p.Environment != env:
		// A token of the other environment is as unknown as an invented one.
		return s.refuse(badDeviceToken)
	case p.Topic != topic || rule.pushKit != (kind == phone.PushKit):
		return s.refuse(deviceTokenNotForTopic)
	}
	if why := checkPayload(rule, body); why != "" {
		return s.refuse(why)
	}
	push := phone.Push{
		Provider: fault.APNs, Received: r.received, Expires: r.expires(),
		Topic: r.topic, Headers: r.kept, Payload: body,
	}
	if p.Receive(push) == phone.Gone {
		_, since := p.State()
		a := s.refuse(unregistered)
		a.goneSince = since
		return a
	}
	a := answer{status: 200}
	if env == phone.Sandbox {
		a.uniqueID = newUUID()
	}
	return a
}

// checkHeaders returns the rule of the push type and the bundle id of the topic.
func (r *request) checkHeaders(key *Key) (pushRule, string, reason) {
	if r.seen&seenID != 0 && !isUUID(r.id) {
		return pushRule{}, "", badMessageID
	}
	if len(r.collapseID) > maxCollapseID {
		return pushRule{}, "", badCollapseID
	}
	if r.topic == "" {
		return pushRule{}, "", missingTopic
	}
	rule, known := ruleOf(r.pushType)
	if !known || r.pushType == "" && r.seen&seenPushType != 0 {
		return rule, "", invalidPushType
	}
	bundle, fits := strings.CutSuffix(r.topic, rule.suffix)
	switch {
	case !isTopic(r.topic) || !fits || rule.suffix == "" && isSuffixed(r.topic):
		return rule, "", badTopic
	case !key.covers(r.topic, bundle):
		return rule, "", topicDisallowed
	}
	given := immediate // what APNs assumes
	if r.seen&seenPriority != 0 {
		given = priorityOf(r.priority)
	}
	if given&rule.priorities == 0 {
		return rule, "", badPriority
	}
	if _, err := strconv.ParseUint(r.expiration, 10, 63); err != nil && r.seen&seenExpiration != 0 {
		return rule, "", badExpirationDate
	}
	return rule, bundle, ""
}

// expires is until when the notification may wait for its phone: not at all with
// apns-expiration 0, and as long as APNs likes without one.
func (r *request) expires() time.Time {
	longest := r.received.Add(maxStorage)
	if r.seen&seenExpiration == 0 {
		return longest
	}
	seconds, _ := strconv.ParseUint(r.expiration, 10, 63) // checked by checkHeaders
	if seconds >= uint64(longest.Unix()) {
		return longest
	}
	return time.Unix(int64(seconds), 0)
}

// checkPayload wants a JSON object with an aps dictionary. Apple names no reason
// for a body that is none; PayloadEmpty is the only one about content.
func checkPayload(rule pushRule, body []byte) reason {
	if len(body) > rule.payload {
		return payloadTooLarge
	}
	if !utf8.Valid(body) || !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return payloadEmpty
	}
	var payload struct {
		Aps map[string]json.RawMessage `json:"aps"`
	}
	if json.Unmarshal(body, &payload) != nil || payload.Aps == nil && rule.needsAps {
		return payloadEmpty
	}
	return ""
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isTopic(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// isUUID wants the canonical form: 32 lower-case hexadecimal digits in groups of
// 8-4-4-4-12.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	return s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

// newUUID returns a random UUID (RFC 9562 version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var out [36]byte
	hex.Encode(out[:8], b[:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:], b[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}
