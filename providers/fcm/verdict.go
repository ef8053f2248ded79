package fcm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// maxAnswer is how much of an answer's body is read: Google's longest, about a
// disabled API, have some 2 KiB.
const maxAnswer = 16 << 10

// subject is what an answer says it is about, where its code leaves that open.
type subject string

const (
	anything subject = ""
	theToken subject = "token"
	aDevice  subject = "device"
)

// word is what FCM says.
type word struct {
	status int
	code   string  // FcmError's errorCode, otherwise error.status
	fcm    bool    // the code is an FcmError's
	about  subject // from the details
}

// rule is what a word means.
type rule struct {
	verdict diaphone.Verdict
	lane    bool          // Throttled: everyone waits
	after   time.Duration // wait so long, unless FCM says how long
	refresh bool          // the OAuth token is out of date
}

// Google asks that a first retry waits ten seconds, and that one without
// Retry-After after a 429 waits a minute ("Scale FCM", "ErrorCode").
const (
	afterTrouble = 10 * time.Second
	afterQuota   = time.Minute

	thirdPartyPause = time.Minute // ours: somebody has to mend the project's settings
)

// rules are Google's "ErrorCode" page and google.rpc's codes around it. A word
// is looked up as precisely as it came, then without its subject, without its
// source, and, where FCM itself did not speak, by its status. What is not here
// is Unknown, or Retry from 500 on. Gone stands here alone and wants an FcmError:
// a wrong project answers 404 as well.
var rules = map[word]rule{
	{status: 404, code: "UNREGISTERED", fcm: true}: {verdict: diaphone.Gone},

	{status: 400, code: "INVALID_ARGUMENT"}:                  {verdict: diaphone.Refused},
	{status: 400, code: "INVALID_ARGUMENT", about: theToken}: {verdict: diaphone.Suspect},
	{status: 403, code: "SENDER_ID_MISMATCH", fcm: true}:     {verdict: diaphone.Suspect},

	// The credential, ours or the one for APNs in the Firebase project.
	// The Firebase project's own APNs or Web Push key is bad: this device waits,
	// for the project's Android phones are served all the same.
	{status: 401, code: "THIRD_PARTY_AUTH_ERROR", fcm: true}: {verdict: diaphone.Retry, after: thirdPartyPause},
	{status: 401, code: "APNS_AUTH_ERROR", fcm: true}:        {verdict: diaphone.Denied}, // its older name, in the SDK
	{status: 403, code: "PERMISSION_DENIED"}:                 {verdict: diaphone.Denied},
	{status: 404}:                                            {verdict: diaphone.Denied},
	{status: 401}:                                            {verdict: diaphone.Retry, after: time.Second, refresh: true},

	{status: 429, code: "QUOTA_EXCEEDED", fcm: true}:                 {verdict: diaphone.Throttled, lane: true, after: afterQuota},
	{status: 429, code: "QUOTA_EXCEEDED", fcm: true, about: aDevice}: {verdict: diaphone.Throttled, after: afterQuota},
	{status: 429, about: aDevice}:                                    {verdict: diaphone.Throttled, after: afterQuota},
	{status: 429}:                                                    {verdict: diaphone.Throttled, lane: true, after: afterQuota},

	{status: 500, code: "INTERNAL", fcm: true}:    {verdict: diaphone.Retry, after: afterTrouble},
	{status: 503, code: "UNAVAILABLE", fcm: true}: {verdict: diaphone.Retry, after: afterTrouble},
	{status: 500}: {verdict: diaphone.Retry, after: afterTrouble},
	{status: 503}: {verdict: diaphone.Retry, after: afterTrouble},
}

// ruleOf looks a word up.
func ruleOf(w word) rule {
	tries := []word{w, {w.status, w.code, w.fcm, anything}, {w.status, w.code, false, w.about}, {w.status, w.code, false, anything}}
	if !w.fcm {
		tries = append(tries, word{w.status, "", false, w.about}, word{w.status, "", false, anything})
	}
	for _, t := range tries {
		if r, known := rules[t]; known {
			return r
		}
	}
	if w.status >= http.StatusInternalServerError {
		return rule{verdict: diaphone.Retry}
	}
	return rule{verdict: diaphone.Unknown}
}

const typeFcmError = "type.googleapis.com/google.firebase.fcm.v1.FcmError"

// fault is the body of Google's errors.
type fault struct {
	Error struct {
		Status  string `json:"status"`
		Message string `json:"message"`
		Details []struct {
			Type            string `json:"@type"`
			ErrorCode       string `json:"errorCode"`
			FieldViolations []struct {
				Field string `json:"field"`
			} `json:"fieldViolations"`
			Violations []struct {
				Subject     string `json:"subject"`
				Description string `json:"description"`
			} `json:"violations"` // of a QuotaFailure
		} `json:"details"`
	} `json:"error"`
}

// read understands an answer that is no success. What cannot be parsed has no
// code.
func read(a exchange.Answer, secrets ...string) (word, string) {
	var f fault
	if json.Unmarshal(a.Body, &f) != nil {
		f = fault{}
	}
	w := word{status: a.Status, code: exchange.Word(f.Error.Status, secrets...)}
	texts := []string{f.Error.Message}
	for _, d := range f.Error.Details {
		if d.Type == typeFcmError && d.ErrorCode != "" {
			w.code, w.fcm = exchange.Word(d.ErrorCode, secrets...), true
		}
		for _, v := range d.FieldViolations {
			if v.Field == "message.token" {
				w.about = theToken
			}
		}
		for _, v := range d.Violations {
			texts = append(texts, v.Subject, v.Description)
		}
	}
	if a.Status == http.StatusTooManyRequests && strings.Contains(strings.ToLower(strings.Join(texts, " ")), "device") {
		w.about = aDevice
	}
	return w, exchange.Quote(f.Error.Message, secrets...)
}

// outcomeOf puts an answer that is no success in the gateway's words.
func outcomeOf(a exchange.Answer, now time.Time, secrets ...string) (diaphone.Outcome, rule) {
	w, text := read(a, secrets...)
	r := ruleOf(w)
	o := diaphone.Outcome{Verdict: r.verdict, Status: a.Status, Reason: w.code, Lane: r.lane}
	if o.RetryAfter = exchange.RetryAfter(a.Header, now); o.RetryAfter == 0 {
		o.RetryAfter = r.after
	}
	if text == "" {
		text = "no message"
	}
	o.Err = fmt.Errorf("FCM answered %d %s: %s", a.Status, w.code, text)
	return o, r
}
