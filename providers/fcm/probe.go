package fcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"firebase.google.com/go/v4/messaging"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// Probe has FCM validate a message to a token that nobody has. Google looks at
// the account first, then at the project and the permission, then at the message:
// to hear that the token is bad is to hear that all else is well.
func (p *Provider) Probe(ctx context.Context) providers.Finding {
	ctx, end, ok := p.attempts.Begin(ctx)
	if !ok {
		return p.finding(unanswer(errClosed))
	}
	defer end()
	token := exchange.NobodysToken()
	a := &attempt{body: fmt.Appendf(nil, `{"validate_only":true,"message":{"token":%q,"data":{"probe":"1"}}}`, token)}
	_, _ = p.client.SendDryRun(withAttempt(ctx, a), &messaging.Message{Token: token, Data: map[string]string{"probe": "1"}}) // the attempt has the answer
	now := time.Now()
	if a.err != nil {
		f := p.finding(unanswer(a.err, token, a.access))
		var refused *fetchError
		if errors.As(a.err, &refused) {
			f.Ahead, f.Clocked = exchange.Ahead(refused.header, now)
		}
		return f
	}
	o := diaphone.Outcome{Verdict: diaphone.Accepted, Status: a.answer.Status}
	if a.answer.Status != http.StatusOK {
		o, _ = outcomeOf(a.answer, now, token, a.access)
	}
	f := p.finding(o)
	f.Ahead, f.Clocked = exchange.Ahead(a.answer.Header, now)
	return f
}

const (
	adviceKey  = "make a new key in the Firebase console (Project settings, Service accounts) and give its file as service_account_file; compare this machine's clock, too"
	adviceAPI  = "enable the Firebase Cloud Messaging API (V1) in the Google Cloud console of the project, and give the account the role Firebase Cloud Messaging API Admin"
	adviceWait = "ask again in a few minutes; https://status.firebase.google.com/ tells of Google's own troubles"
	adviceNet  = "check that this machine may reach fcm.googleapis.com and oauth2.googleapis.com, port 443, through DNS, firewall and proxy"
)

// finding puts the outcome of the probe in words.
func (p *Provider) finding(o diaphone.Outcome) providers.Finding {
	f := providers.Finding{Grade: providers.Faulty, Reason: o.Reason}
	var account *fetchError
	switch {
	case errors.As(o.Err, &account):
		p.ofAccount(&f, account)
	case o.Status == 0:
		f.Unanswered = true
		f.Detail, f.Advice = fmt.Sprintf("%s does not answer: %v", p.place, o.Err), adviceNet
	case o.Reason == "THIRD_PARTY_AUTH_ERROR", o.Reason == "APNS_AUTH_ERROR":
		f.Grade = providers.Doubtful
		f.Detail = p.place + " takes the account, but the project's own APNs or Web Push key is bad: iPhones and browsers get nothing through it"
		f.Advice = "upload a new APNs key in the Firebase console (Project settings, Cloud Messaging)"
	case sound(o):
		f.Grade, f.Reason = providers.Sound, ""
		f.Detail = p.place + " takes the account, which may send"
	case o.Status == http.StatusUnauthorized:
		f.Detail, f.Advice = p.place+" does not know the access token that Google has just issued", adviceKey
	case o.Status == http.StatusForbidden:
		f.Detail, f.Advice = fmt.Sprintf("%s refuses the account: %v", p.place, o.Err), adviceAPI
	case o.Status == http.StatusNotFound:
		f.Detail = p.place + " knows no such project"
		f.Advice = "check that the project still exists, and `endpoint`, which is left out for Google's own"
	case o.Verdict == diaphone.Throttled, o.Status >= http.StatusInternalServerError:
		f.Grade = providers.Doubtful
		f.Detail, f.Advice = fmt.Sprintf("%s cannot say now (%d %s)", p.place, o.Status, o.Reason), adviceWait
	default:
		f.Grade = providers.Doubtful
		f.Detail = fmt.Sprintf("%s answered the probe with %d %s, which says nothing certain of the account", p.place, o.Status, o.Reason)
		f.Advice = "send a notification to a phone of your own: the delivery's attempts have Google's answer"
	}
	return f
}

// ofAccount is for answers of the token endpoint, which come before FCM's.
func (p *Provider) ofAccount(f *providers.Finding, e *fetchError) {
	switch {
	case e.status == 0:
		f.Unanswered = true
		f.Detail, f.Advice = fmt.Sprintf("Google's token endpoint does not answer: %v", e.err), adviceNet
	case e.verdict == diaphone.Denied:
		f.Detail = fmt.Sprintf("Google does not take the key of the service account (%d %s): it was deleted, the account is gone or disabled, or this machine's clock is wrong", e.status, e.reason)
		f.Advice = adviceKey
	default:
		f.Grade = providers.Doubtful
		f.Detail, f.Advice = fmt.Sprintf("Google's token endpoint cannot say now (%d %s)", e.status, e.reason), adviceWait
	}
}

// sound tells whether the answer has passed all that concerns the credential:
// Google judges the message last.
func sound(o diaphone.Outcome) bool {
	switch o.Verdict {
	case diaphone.Accepted, diaphone.Suspect, diaphone.Gone:
		return true
	case diaphone.Refused:
		return o.Reason == "INVALID_ARGUMENT"
	}
	return false
}
