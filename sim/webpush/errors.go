package webpush

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/diaphone-dev/diaphone/sim/fault"
)

// refusal is an error of Mozilla's push service
// (https://mozilla-services.github.io/autopush-rs/errors.html, and autoendpoint's
// error.rs for the texts).
type refusal struct {
	reason  string // our name for it, in plans and statistics
	status  int
	errno   int // 0: none
	message string
}

const errorURL = "http://autopush.readthedocs.io/en/latest/http.html#error-codes"

// The errors of a request that is not as it should be.
func invalidToken() *refusal     { return &refusal{"invalid_token", 404, 102, "Invalid token"} }
func noUser() *refusal           { return &refusal{"no_user", 410, 103, "UAID not found"} }
func tooLarge() *refusal         { return &refusal{"payload_too_large", 413, 104, "Request payload overflow"} }
func noSubscription() *refusal   { return &refusal{"no_subscription", 410, 106, "No such subscription"} }
func vapid(text string) *refusal { return &refusal{"vapid", 401, 109, text} }
func badEncryption(text string) *refusal {
	return &refusal{"invalid_encryption", 400, 110, text}
}
func noTTL() *refusal               { return &refusal{"no_ttl", 400, 111, "Missing TTL value"} }
func badTopic(text string) *refusal { return &refusal{"invalid_topic", 400, 113, text} }
func negativeTTL() *refusal         { return &refusal{"negative_ttl", 400, 114, "TTL must be greater than 0"} }
func methodNotAllowed() *refusal    { return &refusal{"method_not_allowed", 405, 0, "Method Not Allowed"} }

// refusals are all that a plan can ask for.
func refusals() []*refusal {
	return []*refusal{
		invalidToken(), noSubscription(), noUser(), tooLarge(), vapid("Invalid VAPID expiry"),
		badEncryption("Unknown Content-Encoding header"), noTTL(), badTopic("Topic must be no greater than 32 characters"), negativeTTL(),
		{"too_many_requests", 429, 0, "Too Many Requests"},
		{"internal", 500, 999, "Internal Server Error"},
		{"bridge", 502, 900, "Internal bridge misconfiguration"},
		{"unavailable", 503, 201, "Use exponential back-off for retries"},
		{"try_again", 503, 202, "Immediate retry ok"},
	}
}

func vocabulary() *fault.Vocabulary {
	v := &fault.Vocabulary{Vendor: "Web Push", Acts: []string{fault.Hang}, Reasons: map[int][]string{}}
	for _, r := range refusals() {
		v.Reasons[r.status] = append(v.Reasons[r.status], r.reason)
	}
	return v
}

// CheckFault completes a fault with what a push service means by it. The error
// begins with the field that is wrong.
func CheckFault(f fault.Fault) (fault.Fault, error) { return vocabulary().Complete(f) }

// planned is the refusal that a fault asks for.
func planned(f *fault.Fault) *refusal {
	for _, r := range refusals() {
		if r.reason == f.Reason {
			return r
		}
	}
	return &refusal{reason: strconv.Itoa(f.Status), status: f.Status, message: http.StatusText(f.Status)}
}

// write answers as Mozilla's push service does; f may say otherwise.
func (r *refusal) write(w http.ResponseWriter, f *fault.Fault) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	switch r.status {
	case http.StatusGone:
		h.Set("Cache-Control", "max-age=86400")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "120")
	}
	if f != nil && f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	w.WriteHeader(r.status)
	if f != nil && f.Body != "" {
		_, _ = w.Write([]byte(f.Body))
		return
	}
	var errno any // null without one
	if r.errno != 0 {
		errno = r.errno
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"code": r.status, "errno": errno, "error": http.StatusText(r.status), "message": r.message, "more_info": errorURL,
	})
}
