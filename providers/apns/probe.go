package apns

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sideshow/apns2"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
)

// Probe sends a background push to a token that nobody has. APNs looks at the
// provider token or certificate first, then at the topic, then at the device's
// token: to hear that the last is bad is to hear that all else is well.
func (p *Provider) Probe(ctx context.Context) providers.Finding {
	a, o := p.try(ctx, inquiry())
	late := o.Reason == apns2.ReasonExpiredProviderToken && o.Verdict == diaphone.Retry
	if late {
		a, o = p.try(ctx, inquiry()) // with a token issued this moment
	}
	f := p.finding(o)
	if late && f.Grade == providers.Sound {
		f.Grade, f.Reason = providers.Doubtful, apns2.ReasonExpiredProviderToken
		f.Detail = p.place + " takes the key, but called a provider token of the last half hour expired"
		f.Advice = adviceClock
	}
	f.Ahead, f.Clocked = exchange.Ahead(a.answer.Header, time.Now())
	if p.pass != nil {
		f.Expires = p.pass.Leaf.NotAfter
	}
	return f
}

// Expires is when the credential's certificate does; zero: it is a key.
func (p *Provider) Expires() time.Time {
	if p.pass == nil {
		return time.Time{}
	}
	return p.pass.Leaf.NotAfter
}

// inquiry owes a background push, which could show nothing, to a device that does
// not exist, now or never.
func inquiry() *diaphone.Delivery {
	now, ttl := time.Now(), 0
	m := &diaphone.Message{ID: diaphone.NewMessageID(now), AcceptedAt: now,
		Notification: &diaphone.Notification{Mode: diaphone.ModeBackground, TTL: &ttl}}
	return &diaphone.Delivery{ID: diaphone.DeliveryID(m.ID, "nobody"), Message: m, Device: "nobody",
		Token: diaphone.Token{Kind: diaphone.TokenAPNs, Value: diaphone.Secret(exchange.NobodysToken())}}
}

// diagnosis is what a refusal of the probe says of the credential.
type diagnosis struct{ detail, advice string }

const (
	adviceClock = "set this machine's clock: keep it with NTP (timedatectl set-ntp true)"
	adviceKey   = "compare key_file, key_id and team_id with Certificates, Identifiers & Profiles on Apple's developer site; a revoked key needs a new one"
	adviceScope = "Apple's keys can be for one environment: give one for this environment, or change `environment` in the apps file"
	advicePass  = "make a new Apple Push Services certificate for the bundle id on Apple's developer site, and export it together with its private key"
)

// diagnoses are Apple's words about a credential; what they leave open is asked of
// the operator. What is not here is no fault of the credential, or unknown.
func (p *Provider) diagnoses() map[string]diagnosis {
	scope := diagnosis{"the key is not for this environment", adviceScope}
	topic := diagnosis{fmt.Sprintf("it may not send to the topic %s", p.bundle),
		"check that `topic` is the app's bundle id, that the app is the team's own and has Push Notifications enabled, and that a topic-specific key lists it"}
	return map[string]diagnosis{
		apns2.ReasonTopicDisallowed:           topic,
		apns2.ReasonBadTopic:                  topic,
		apns2.ReasonMissingTopic:              topic,
		apns2.ReasonInvalidProviderToken:      {"Apple does not know the key by this key id and team id, or takes our clock for wrong", adviceKey + "; and compare this machine's clock"},
		apns2.ReasonExpiredProviderToken:      {"a provider token of this very moment counts as expired: this machine's clock is wrong", adviceClock},
		apns2.ReasonMissingProviderToken:      {"it has not seen who we are", "if a proxy stands between, it must not open the TLS connection, and must leave the authorization header alone; " + advicePass},
		apns2.ReasonForbidden:                 {"access is forbidden", "look for agreements to accept, and whether the membership is paid, on Apple's developer site"},
		apns2.ReasonBadCertificate:            {"the certificate is not one of Apple's for push, or was revoked", advicePass},
		apns2.ReasonBadCertificateEnvironment: {"the certificate is not for this environment", "give a certificate for this environment, or change `environment` in the apps file"},
		"BadEnvironmentKeyIdInToken":          scope,
		"BadEnvironmentKeyInToken":            scope,
		"UnrelatedKeyIdInToken":               {"the key is taken for one of another connection", "if a proxy joins the connections of several gateways, let them reach Apple directly"},
		certificateExpired:                    {"the certificate has expired", advicePass},
		certificateEarly:                      {"the certificate is not valid yet, by this machine's clock", adviceClock},
	}
}

// finding puts the outcome of the probe in words.
func (p *Provider) finding(o diaphone.Outcome) providers.Finding {
	f := providers.Finding{Grade: providers.Faulty, Reason: o.Reason}
	d, known := p.diagnoses()[o.Reason]
	switch {
	case known && o.Verdict != diaphone.Accepted:
		f.Detail, f.Advice = fmt.Sprintf("%s refuses the credential (%s): %s", p.place, o.Reason, d.detail), d.advice
	case o.Status == 0:
		f.Unanswered = true
		f.Detail = fmt.Sprintf("%s does not answer: %v", p.place, o.Err)
		f.Advice = "check that this machine may reach that host and port through DNS, firewall and proxy; Apple also listens on port 2197 (`host: api.push.apple.com:2197`)"
		if o.Reason == exchange.TLSFailed {
			f.Advice = "install the system's root certificates (ca-certificates), and see to it that no proxy opens the TLS connection"
		}
	case sound(o):
		f.Grade, f.Reason = providers.Sound, ""
		f.Detail = fmt.Sprintf("%s takes the %s for %s", p.place, p.kind(), p.bundle)
	case o.Verdict == diaphone.Throttled, o.Status >= http.StatusInternalServerError:
		f.Grade = providers.Doubtful
		f.Detail = fmt.Sprintf("%s cannot say now (%d %s)", p.place, o.Status, o.Reason)
		f.Advice = "ask again in a few minutes; https://developer.apple.com/system-status/ tells of Apple's own troubles"
	default:
		f.Grade = providers.Doubtful
		f.Detail = fmt.Sprintf("%s answered the probe with %d %s, which says nothing certain of the credential", p.place, o.Status, o.Reason)
		f.Advice = "send a notification to a phone of your own: the delivery's attempts have Apple's answer"
	}
	return f
}

// sound tells whether the answer has passed all that concerns the credential.
func sound(o diaphone.Outcome) bool {
	switch o.Verdict {
	case diaphone.Accepted, diaphone.Suspect, diaphone.Gone:
		return true
	}
	return false
}

func (p *Provider) kind() string {
	if p.pass != nil {
		return "certificate"
	}
	return "key"
}
