package fcm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/diaphone-dev/diaphone/sim/fault"
)

// The error codes of FCM, which stand in details.errorCode (Firebase, "ErrorCode"
// of the v1 REST reference), and the codes of Google's API front end, which come
// without one.
const (
	invalidArgument  = "INVALID_ARGUMENT"
	unregistered     = "UNREGISTERED"
	senderIDMismatch = "SENDER_ID_MISMATCH"
	quotaExceeded    = "QUOTA_EXCEEDED"
	unavailable      = "UNAVAILABLE"
	internal         = "INTERNAL"
	thirdPartyAuth   = "THIRD_PARTY_AUTH_ERROR"

	unauthenticated  = "UNAUTHENTICATED"
	permissionDenied = "PERMISSION_DENIED"
	notFound         = "NOT_FOUND"
	badGateway       = "BAD_GATEWAY"
	deadlineExceeded = "DEADLINE_EXCEEDED"
)

// vocabulary says which codes come with which status.
func vocabulary() *fault.Vocabulary {
	return &fault.Vocabulary{
		Vendor: "FCM",
		Acts:   []string{fault.Hang},
		Reasons: map[int][]string{
			400: {invalidArgument},
			401: {unauthenticated, thirdPartyAuth},
			403: {permissionDenied, senderIDMismatch},
			404: {unregistered, notFound},
			429: {quotaExceeded},
			500: {internal},
			502: {badGateway},
			503: {unavailable},
			504: {deadlineExceeded},
		},
	}
}

// CheckFault completes a fault with what FCM means by it. The error begins with
// the field that is wrong.
func CheckFault(f fault.Fault) (fault.Fault, error) { return vocabulary().Complete(f) }

// violation names a field of the request that is wrong. What is wrong at the root
// has no field.
type violation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

// problem is an error answer. The code is FCM's own or, without fromFCM, that of
// the front end, which has no FcmError detail.
type problem struct {
	status     int
	code       string
	message    string
	fromFCM    bool
	violations []violation
	challenge  string // WWW-Authenticate
	retryAfter int    // seconds
	body       string // instead of all that
}

// usual returns a problem with the text that Google uses for a code.
func usual(code string) *problem {
	p := &problem{status: vocabulary().StatusOf(code), code: code}
	switch code {
	case unregistered:
		p.message = "Requested entity was not found."
	case senderIDMismatch:
		p.message = "SenderId mismatch"
	case quotaExceeded:
		p.message = "Quota exceeded for quota metric 'Messages sent' and limit 'Messages sent per minute' of service 'fcm.googleapis.com'."
	case unavailable:
		p.message = "The service is currently unavailable."
	case internal:
		p.message = "Internal error encountered."
	case thirdPartyAuth:
		p.message = "Auth error from APNS or Web Push Service"
	case invalidArgument:
		p.message = "Request contains an invalid argument."
	case unauthenticated:
		p.message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
		p.challenge = `Bearer realm="https://accounts.google.com/", error="invalid_token"`
	case permissionDenied:
		p.message = "The caller does not have permission"
	case notFound:
		p.message = "Requested entity was not found."
	case deadlineExceeded:
		p.message = "Deadline expired before operation could complete."
	case badGateway:
		p.body = "<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n<p><b>502.</b> <ins>That’s an error.</ins>\n"
	}
	switch code {
	case unregistered, senderIDMismatch, quotaExceeded, unavailable, internal, thirdPartyAuth, invalidArgument:
		p.fromFCM = true
	}
	return p
}

// invalid is FCM's refusal of a message that was well-formed JSON of the schema.
func invalid(field, message string) *problem {
	p := usual(invalidArgument)
	p.message = message
	p.violations = []violation{{field, message}}
	return p
}

// malformed is the front end's refusal of what does not fit the schema. All
// violations stand in the message too, a line each.
func malformed(violations []violation) *problem {
	texts := make([]string, len(violations))
	for i, v := range violations {
		texts[i] = v.Description
	}
	return &problem{
		status: http.StatusBadRequest, code: invalidArgument,
		message: strings.Join(texts, "\n"), violations: violations,
	}
}

// faulty is the answer that a fault asks for.
func faulty(f *fault.Fault) *problem {
	p := usual(f.Reason)
	p.status, p.retryAfter = f.Status, f.RetryAfter
	if f.Body != "" {
		p.body = f.Body
	}
	return p
}

// name is what the statistics call the problem.
func (p *problem) name() string {
	if p.code == "" {
		return strconv.Itoa(p.status)
	}
	return p.code
}

// status is the canonical code of google.rpc.Code that an FCM code belongs to.
func canonical(code string) string {
	switch code {
	case unregistered:
		return notFound
	case senderIDMismatch:
		return permissionDenied
	case quotaExceeded:
		return "RESOURCE_EXHAUSTED"
	case thirdPartyAuth:
		return unauthenticated
	default:
		return code
	}
}

type fcmError struct {
	Type string `json:"@type"`
	Code string `json:"errorCode"`
}

type badRequest struct {
	Type       string      `json:"@type"`
	Violations []violation `json:"fieldViolations"`
}

type googleError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
	Details []any  `json:"details,omitempty"`
}

func (p *problem) write(w http.ResponseWriter) {
	if p.challenge != "" {
		w.Header().Set("WWW-Authenticate", p.challenge)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.body != "" {
		w.Header().Set("Content-Type", http.DetectContentType([]byte(p.body)))
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(p.body))
		return
	}
	e := googleError{Code: p.status, Message: p.message, Status: canonical(p.code)}
	if p.fromFCM {
		e.Details = append(e.Details, fcmError{"type.googleapis.com/google.firebase.fcm.v1.FcmError", p.code})
	}
	if len(p.violations) > 0 {
		e.Details = append(e.Details, badRequest{"type.googleapis.com/google.rpc.BadRequest", p.violations})
	}
	writeJSON(w, p.status, map[string]googleError{"error": e})
}

// writeJSON writes a body the way Google's front end formats it.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(v) // the status is out: nothing is left to report
}
