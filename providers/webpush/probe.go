package webpush

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone/providers"
)

// Probe signs with the key and looks at the subject. It asks nobody: a push
// service answers for subscriptions only.
func (p *Provider) Probe(context.Context) providers.Finding {
	if p.attempts.Closed() {
		return providers.Finding{Grade: providers.Faulty, Unanswered: true, Reason: "closed",
			Detail: errClosed.Error(), Advice: "start the gateway again"}
	}
	if _, err := p.signer.header("https://"+hostMozilla, time.Now()); err != nil {
		return providers.Finding{Grade: providers.Faulty, Reason: badJWT,
			Detail: "the VAPID key does not sign", Advice: "make another with `diaphone keys vapid`; pages then have to subscribe anew"}
	}
	f := providers.Finding{Grade: providers.Sound, Detail: fmt.Sprintf(
		"the VAPID key signs, and pages subscribe with its public half %s; push services are not asked, for they answer for subscriptions only", p.signer.public)}
	if host := hostOf(p.signer.subject); isReserved(host) {
		f.Grade = providers.Doubtful
		f.Detail = fmt.Sprintf("the VAPID key signs, but nobody can be reached at the subject's host %s", host)
		f.Advice = "give an address of your own as `subject`: push services write there before they block a sender, and some refuse what cannot be reached"
	}
	return f
}

// hostOf gives the host of a VAPID subject, mailto: or https:.
func hostOf(subject string) string {
	if address, ok := strings.CutPrefix(subject, "mailto:"); ok {
		_, host, _ := strings.Cut(address, "@")
		return strings.ToLower(host)
	}
	u, err := url.Parse(subject)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// isReserved tells the names that RFC 2606 and 6761 keep for examples.
func isReserved(host string) bool {
	for _, end := range []string{"example.com", "example.org", "example.net", "example", "test", "invalid", "localhost"} {
		if host == end || strings.HasSuffix(host, "."+end) {
			return true
		}
	}
	return false
}
