package webpush

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// maxAnswer is how much of an answer's body is read: Google's, in prose, have
// some 300 bytes.
const maxAnswer = 2 << 10

// vendor is whose push service an endpoint is at.
type vendor string

const (
	anyone    vendor = "a push service"
	google    vendor = "Google"
	mozilla   vendor = "Mozilla"
	apple     vendor = "Apple"
	microsoft vendor = "Microsoft"
)

// vendorOf tells the vendor by the host; read reads the answers of others by
// their shape alone.
func vendorOf(host string) vendor {
	for suffix, v := range map[string]vendor{hostGoogle: google, hostMozilla: mozilla, hostApple: apple, hostMicrosoft: microsoft} {
		if host == suffix || strings.HasSuffix(host, "."+suffix) {
			return v
		}
	}
	return anyone
}

// word is what a push service says: a status, and the vendor's reason in words of
// ours where it has none that could be repeated.
type word struct {
	from   vendor
	status int
	reason string
}

// Reasons of ours.
const (
	keyMismatch  = "vapid_key_mismatch" // the page subscribed with another key
	badAudience  = "vapid_audience"
	badJWT       = "vapid_refused"
	notThrough   = "dropped"
	tooMuch      = "channel_throttled"
	forbiddenURL = "forbidden_endpoint" // the egress guard's word, no push service's
)

// rule is what a word means.
type rule struct {
	verdict diaphone.Verdict
	after   time.Duration // wait at least so long, unless the push service says how long
}

// rules are RFC 8030 §5 and §7.3 and what the vendors' pages and services add. A
// word is looked up as the vendor's, then without the reason, then as anyone's.
// What is not here is Unknown, or Retry from 500 on.
//
// A user chooses the endpoint, and a Denied pauses the whole lane: so it takes a
// word of a known vendor that no subscription could bring about. That a
// subscription belongs to another VAPID key is Suspect, though the vendors advise
// to delete it: with a wrong key in our set-up that would wipe a fleet.
var rules = map[word]rule{
	{anyone, 200, ""}: {verdict: diaphone.Accepted},
	{anyone, 201, ""}: {verdict: diaphone.Accepted},
	{anyone, 202, ""}: {verdict: diaphone.Accepted},

	{anyone, 404, ""}: {verdict: diaphone.Gone},
	{anyone, 410, ""}: {verdict: diaphone.Gone},

	{anyone, 400, ""}: {verdict: diaphone.Refused},
	{anyone, 413, ""}: {verdict: diaphone.Refused},

	{anyone, 401, ""}: {verdict: diaphone.Suspect},
	{anyone, 403, ""}: {verdict: diaphone.Suspect},

	{anyone, 429, ""}: {verdict: diaphone.Throttled},

	// https://mozilla-services.github.io/autopush-rs/errors.html
	{mozilla, 400, "errno_108"}:  {verdict: diaphone.Suspect}, // the subscription's way to the browser
	{mozilla, 401, "errno_109"}:  {verdict: diaphone.Denied},
	{mozilla, 401, keyMismatch}:  {verdict: diaphone.Suspect},
	{mozilla, 401, badAudience}:  {verdict: diaphone.Suspect},
	{mozilla, 503, "errno_201"}:  {verdict: diaphone.Retry, after: 2 * time.Minute},
	{google, 400, keyMismatch}:   {verdict: diaphone.Suspect},
	{google, 403, keyMismatch}:   {verdict: diaphone.Suspect},
	{google, 403, badJWT}:        {verdict: diaphone.Denied},
	{apple, 403, "BadJwtToken"}:  {verdict: diaphone.Denied},
	{apple, 400, keyMismatch}:    {verdict: diaphone.Suspect},
	{microsoft, 200, notThrough}: {verdict: diaphone.Refused},
	{microsoft, 201, notThrough}: {verdict: diaphone.Refused},
	{microsoft, 200, tooMuch}:    {verdict: diaphone.Throttled, after: time.Minute},
	{microsoft, 201, tooMuch}:    {verdict: diaphone.Throttled, after: time.Minute},
	{microsoft, 406, ""}:         {verdict: diaphone.Throttled, after: time.Minute},
}

func ruleOf(w word) rule {
	for _, t := range []word{w, {w.from, w.status, ""}, {anyone, w.status, ""}} {
		if r, known := rules[t]; known {
			return r
		}
	}
	if w.status >= http.StatusInternalServerError {
		return rule{verdict: diaphone.Retry}
	}
	return rule{verdict: diaphone.Unknown}
}

// phrases are what vendors say in prose, and what we call it.
var phrases = []struct {
	from   vendor
	text   string
	reason string
}{
	{mozilla, "key mismatch", keyMismatch},
	{mozilla, "vapid audience", badAudience},
	{google, "do not correspond", keyMismatch},
	{google, "unauthorizedregistration", keyMismatch},
	{google, "jwt", badJWT},
}

// read understands an answer.
func read(from vendor, a exchange.Answer, secrets ...string) word {
	w := word{from: from, status: a.Status}
	switch a.Header.Get("X-Wns-Notificationstatus") {
	case "dropped":
		w.reason = notThrough
	case "channelthrottled":
		w.reason = tooMuch
	}
	if a.Status < http.StatusMultipleChoices || w.reason != "" {
		return w
	}
	prose := strings.ToLower(string(a.Body))
	for _, p := range phrases {
		if p.from == from && strings.Contains(prose, p.text) {
			w.reason = p.reason
			return w
		}
	}
	var body struct {
		Reason string `json:"reason"` // Apple's
		Errno  int    `json:"errno"`  // Mozilla's
	}
	if json.Unmarshal(a.Body, &body) != nil {
		return w
	}
	switch {
	case body.Reason == "VapidPkHashMismatch":
		w.reason = keyMismatch
	case body.Reason != "":
		w.reason = exchange.Word(body.Reason, secrets...)
	case body.Errno >= 100 && body.Errno <= 999:
		w.reason = fmt.Sprintf("errno_%d", body.Errno)
	}
	return w
}

// outcomeOf puts an answer in the gateway's words.
func outcomeOf(w word, a exchange.Answer, now time.Time) diaphone.Outcome {
	r := ruleOf(w)
	o := diaphone.Outcome{Verdict: r.verdict, Status: w.status, Reason: w.reason}
	if r.verdict == diaphone.Accepted {
		o.Reason = ""
		return o
	}
	if o.RetryAfter = exchange.RetryAfter(a.Header, now); o.RetryAfter == 0 {
		o.RetryAfter = r.after
	}
	if o.Err = fmt.Errorf("%s answered %d %s", w.from, w.status, w.reason); w.reason == "" {
		o.Err = fmt.Errorf("%s answered %d without a reason that we know", w.from, w.status)
	}
	return o
}
