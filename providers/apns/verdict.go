package apns

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sideshow/apns2"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// maxAnswer is how much of an answer's body is read: Apple's have about 60 bytes.
const maxAnswer = 512

// word is what APNs says: a status and its reason.
type word struct {
	status int
	reason string
}

// rule is what a word means.
type rule struct {
	verdict diaphone.Verdict
	lane    bool          // Throttled: everyone waits
	after   time.Duration // wait at least so long, unless APNs says how long
	effect  effect
}

// effect is what a word means for the connection it came over.
type effect int

const (
	none    effect = iota
	refresh        // its provider token is out of date
	retire         // it takes no more pushes
)

// rules are Apple's "Handling notification responses from APNs", with what has
// been seen beyond the page: BadEnvironmentKeyInToken is how the live service
// spells BadEnvironmentKeyIdInToken (swift-server-community/APNSwift#229).
// A word that is not here is Unknown, or Retry from 500 on; Gone stands here
// alone, so that nothing else can ever give it.
var rules = map[word]rule{
	{200, ""}: {verdict: diaphone.Accepted},

	// Our mistakes: no retry would pass.
	{400, apns2.ReasonBadCollapseID}:      {verdict: diaphone.Refused},
	{400, apns2.ReasonBadExpirationDate}:  {verdict: diaphone.Refused},
	{400, apns2.ReasonBadMessageID}:       {verdict: diaphone.Refused},
	{400, apns2.ReasonBadPriority}:        {verdict: diaphone.Refused},
	{400, apns2.ReasonBadTopic}:           {verdict: diaphone.Refused},
	{400, apns2.ReasonDuplicateHeaders}:   {verdict: diaphone.Refused},
	{400, apns2.ReasonInvalidPushType}:    {verdict: diaphone.Refused},
	{400, apns2.ReasonMissingTopic}:       {verdict: diaphone.Refused},
	{400, apns2.ReasonMissingDeviceToken}: {verdict: diaphone.Refused},
	{400, apns2.ReasonPayloadEmpty}:       {verdict: diaphone.Refused},
	{404, apns2.ReasonBadPath}:            {verdict: diaphone.Refused},
	{405, apns2.ReasonMethodNotAllowed}:   {verdict: diaphone.Refused},
	{413, apns2.ReasonPayloadTooLarge}:    {verdict: diaphone.Refused},

	// The token, or our set-up: a mixed-up environment or topic answers the same
	// for a whole fleet, which must survive it.
	{400, apns2.ReasonBadDeviceToken}:         {verdict: diaphone.Suspect},
	{400, apns2.ReasonDeviceTokenNotForTopic}: {verdict: diaphone.Suspect},

	{410, apns2.ReasonUnregistered}: {verdict: diaphone.Gone},
	{410, apns2.ReasonExpiredToken}: {verdict: diaphone.Gone},

	// The credential.
	{400, apns2.ReasonTopicDisallowed}:           {verdict: diaphone.Denied},
	{403, apns2.ReasonBadCertificate}:            {verdict: diaphone.Denied},
	{403, apns2.ReasonBadCertificateEnvironment}: {verdict: diaphone.Denied},
	{403, apns2.ReasonInvalidProviderToken}:      {verdict: diaphone.Denied},
	{403, apns2.ReasonMissingProviderToken}:      {verdict: diaphone.Denied},
	{403, apns2.ReasonForbidden}:                 {verdict: diaphone.Denied},
	{403, "BadEnvironmentKeyIdInToken"}:          {verdict: diaphone.Denied},
	{403, "BadEnvironmentKeyInToken"}:            {verdict: diaphone.Denied},
	{403, "UnrelatedKeyIdInToken"}:               {verdict: diaphone.Denied, effect: retire},
	{403, apns2.ReasonExpiredProviderToken}:      {verdict: diaphone.Retry, after: time.Second, effect: refresh},

	// Too much, of one device or of us all.
	{429, apns2.ReasonTooManyRequests}:             {verdict: diaphone.Throttled},
	{429, apns2.ReasonTooManyProviderTokenUpdates}: {verdict: diaphone.Throttled, lane: true, after: time.Minute},
	{429, ""}: {verdict: diaphone.Throttled}, // RFC 6585 §4 says as much without a reason

	// Apple's trouble.
	{400, apns2.ReasonIdleTimeout}:         {verdict: diaphone.Retry, effect: retire},
	{500, apns2.ReasonInternalServerError}: {verdict: diaphone.Retry},
	{503, apns2.ReasonServiceUnavailable}:  {verdict: diaphone.Retry},
	{503, apns2.ReasonShutdown}:            {verdict: diaphone.Retry, effect: retire},
}

// ruleOf looks a word up.
func ruleOf(w word) rule {
	if r, known := rules[w]; known {
		return r
	}
	if w.status >= http.StatusInternalServerError {
		return rule{verdict: diaphone.Retry}
	}
	return rule{verdict: diaphone.Unknown}
}

// reply is an answer of APNs, understood.
type reply struct {
	word
	rule
	goneSince time.Time
}

// read understands an answer. What cannot be parsed has no reason.
func read(a exchange.Answer, secrets ...string) reply {
	var body struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // milliseconds, with 410
	}
	// A success has no reason.
	if a.Status != http.StatusOK && json.Unmarshal(a.Body, &body) != nil {
		body.Reason, body.Timestamp = "", 0
	}
	w := word{status: a.Status, reason: exchange.Word(body.Reason, secrets...)}
	r := reply{word: w, rule: ruleOf(w)}
	if r.verdict == diaphone.Gone && body.Timestamp > 0 {
		r.goneSince = time.UnixMilli(body.Timestamp)
	}
	return r
}

// result tells the pool what the answer says of the connection. One that shows
// that APNs took our provider token opens it for more than one request at a time.
func (r *reply) result() result {
	switch {
	case r.effect == retire:
		return retiring
	case r.status == http.StatusForbidden, r.status >= http.StatusInternalServerError,
		r.verdict == diaphone.Unknown, r.reason == apns2.ReasonTooManyProviderTokenUpdates:
		return answered
	}
	return authenticated
}

// outcome puts the reply in the gateway's words.
func (r *reply) outcome(a exchange.Answer, now time.Time) diaphone.Outcome {
	o := diaphone.Outcome{
		Verdict: r.verdict, Status: r.status, Reason: r.reason,
		Lane: r.lane, GoneSince: r.goneSince,
	}
	if r.verdict == diaphone.Accepted {
		return o
	}
	o.RetryAfter = exchange.RetryAfter(a.Header, now)
	if o.RetryAfter == 0 {
		o.RetryAfter = r.after
	}
	if o.Err = fmt.Errorf("APNs answered %d %s", r.status, r.reason); r.reason == "" {
		o.Err = fmt.Errorf("APNs answered %d without a reason that we know", r.status)
	}
	return o
}

// skew says how far our clock seems to be from Apple's: what makes a fresh
// token look expired.
func skew(a exchange.Answer, now time.Time) error {
	at, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return errors.New("APNs calls a fresh provider token expired: check this machine's clock")
	}
	return fmt.Errorf("APNs calls a fresh provider token expired: this machine's clock is %v from Apple's",
		now.Sub(at).Round(time.Second))
}
