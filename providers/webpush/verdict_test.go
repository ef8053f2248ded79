package webpush

import (
	"net/http"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

const (
	atMozilla   = "updates.push.services.mozilla.com"
	atGoogle    = "fcm.googleapis.com"
	atApple     = "web.push.apple.com"
	atMicrosoft = "wns2-par02p.notify.windows.com"
	atAnyone    = "push.example.com"
)

// TestVendors holds what the vendors have been seen to say.
func TestVendors(t *testing.T) {
	wns := func(status string) http.Header { return http.Header{"X-Wns-Notificationstatus": {status}} }
	for _, c := range []struct {
		host    string
		status  int
		header  http.Header
		body    string
		verdict diaphone.Verdict
		reason  string
		after   time.Duration
	}{
		{atMozilla, 201, nil, "", diaphone.Accepted, "", 0},
		{atMozilla, 400, nil, `{"code":400,"errno":111,"error":"Bad Request","message":"Missing TTL value"}`, diaphone.Refused, "errno_111", 0},
		{atMozilla, 400, nil, `{"code":400,"errno":108,"error":"Bad Request","message":"Invalid router type"}`, diaphone.Suspect, "errno_108", 0},
		{atMozilla, 401, nil, `{"code":401,"errno":109,"error":"Unauthorized","message":"Invalid VAPID expiry"}`, diaphone.Denied, "errno_109", 0},
		{atMozilla, 401, nil, `{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}`, diaphone.Suspect, keyMismatch, 0},
		{atMozilla, 401, nil, `{"code":401,"errno":109,"error":"Unauthorized","message":"Invalid VAPID audience"}`, diaphone.Suspect, badAudience, 0},
		{atMozilla, 404, nil, `{"code":404,"errno":102,"error":"Not Found","message":"Invalid token"}`, diaphone.Gone, "errno_102", 0},
		{atMozilla, 410, nil, `{"code":410,"errno":106,"error":"Gone","message":"No such subscription"}`, diaphone.Gone, "errno_106", 0},
		{atMozilla, 413, nil, `{"code":413,"errno":104,"error":"Payload Too Large"}`, diaphone.Refused, "errno_104", 0},
		{atMozilla, 503, http.Header{"Retry-After": {"120"}}, `{"code":503,"errno":202}`, diaphone.Retry, "errno_202", 2 * time.Minute},
		{atMozilla, 503, nil, `{"code":503,"errno":201}`, diaphone.Retry, "errno_201", 2 * time.Minute},
		{atMozilla, 502, nil, `{"code":502,"errno":900}`, diaphone.Retry, "errno_900", 0},
		{atGoogle, 201, nil, "", diaphone.Accepted, "", 0},
		{atGoogle, 400, nil, "<HTML><TITLE>UnauthorizedRegistration</TITLE>", diaphone.Suspect, keyMismatch, 0},
		{atGoogle, 403, nil, "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n", diaphone.Suspect, keyMismatch, 0},
		{atGoogle, 403, nil, "invalid JWT provided\n", diaphone.Denied, badJWT, 0},
		{atGoogle, 404, nil, "A valid push subscription endpoint should be specified in the URL", diaphone.Gone, "", 0},
		{atGoogle, 410, nil, "push subscription has unsubscribed or expired.\n", diaphone.Gone, "", 0},
		{atGoogle, 429, http.Header{"Retry-After": {"7"}}, "", diaphone.Throttled, "", 7 * time.Second},
		{atApple, 201, nil, "", diaphone.Accepted, "", 0},
		{atApple, 403, nil, `{"reason":"BadJwtToken"}`, diaphone.Denied, "BadJwtToken", 0},
		{atApple, 400, nil, `{"reason":"VapidPkHashMismatch"}`, diaphone.Suspect, keyMismatch, 0},
		{atApple, 403, nil, `{"reason":"VapidPkHashMismatch"}`, diaphone.Suspect, keyMismatch, 0},
		{atApple, 400, nil, `{"reason":"BadWebPushTopic"}`, diaphone.Refused, "BadWebPushTopic", 0},
		{atApple, 410, nil, `{"reason":"Unregistered"}`, diaphone.Gone, "Unregistered", 0},
		{atMicrosoft, 201, wns("received"), "", diaphone.Accepted, "", 0},
		{atMicrosoft, 200, wns("dropped"), "", diaphone.Refused, notThrough, 0},
		{atMicrosoft, 201, wns("channelthrottled"), "", diaphone.Throttled, tooMuch, time.Minute},
		{atMicrosoft, 401, nil, "", diaphone.Suspect, "", 0},
		{atMicrosoft, 406, nil, "", diaphone.Throttled, "", time.Minute},
		// The words of one vendor in the mouth of another, above all of a server that a
		// user has chosen, pause no lane.
		{atAnyone, 401, nil, `{"code":401,"errno":109,"message":"Invalid VAPID expiry"}`, diaphone.Suspect, "errno_109", 0},
		{atAnyone, 403, nil, `{"reason":"BadJwtToken"}`, diaphone.Suspect, "BadJwtToken", 0},
		{atAnyone, 403, nil, "invalid JWT provided", diaphone.Suspect, "", 0},
		{"evil" + atGoogle, 403, nil, "invalid JWT provided", diaphone.Suspect, "", 0},
		{atAnyone, 418, nil, "", diaphone.Unknown, "", 0},
		{atAnyone, 302, nil, "", diaphone.Unknown, "", 0},
		{atAnyone, 599, nil, "", diaphone.Retry, "", 0},
	} {
		header := c.header
		if header == nil {
			header = http.Header{}
		}
		a := exchange.Answer{Status: c.status, Header: header, Body: []byte(c.body)}
		o := outcomeOf(read(vendorOf(c.host), a), a, now)
		if o.Verdict != c.verdict || o.Reason != c.reason || o.RetryAfter != c.after || o.Status != c.status || (o.Err == nil) != (c.verdict == diaphone.Accepted) {
			t.Errorf("%s %d %s: %+v", c.host, c.status, c.body, o)
		}
	}
}
