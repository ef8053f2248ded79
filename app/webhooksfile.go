package app

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/internal/egress"
)

// webhookEntry is the part of an apps file that says whom to tell.
type webhookEntry struct {
	Name            string                     `yaml:"name"`
	URL             diaphone.Secret            `yaml:"url"` // its query often holds one
	Format          diaphone.WebhookForm       `yaml:"format"`
	Secrets         []diaphone.Secret          `yaml:"secrets"`
	Events          []diaphone.NoticeKind      `yaml:"events"`
	ChannelPrefixes []string                   `yaml:"channel_prefixes"`
	Headers         map[string]diaphone.Secret `yaml:"headers"`
}

func (r *appsReader) webhooks(at string, a *diaphone.App, entries []webhookEntry) (all []diaphone.Webhook) {
	pusher := func(e webhookEntry) bool { return e.Format != diaphone.FormStandard }
	if _, signs := a.SigningKey(); slices.ContainsFunc(entries, pusher) && !signs {
		r.faultf(at, "what webhooks are told in Pusher's form is signed with a key of the app: give it one under keys, in use")
	}
	for i, e := range entries {
		at := fmt.Sprintf("%s[%d]", at, i)
		if !appID.MatchString(e.Name) {
			r.faultf(at+".name", "a webhook's name is 1 to 64 letters, digits, _ or -")
		}
		if slices.ContainsFunc(all, func(w diaphone.Webhook) bool { return w.Name == e.Name }) {
			r.faultf(at+".name", "two webhooks are named %q: give this one a name of its own", e.Name)
		}
		r.webhookURL(at+".url", e.URL.Reveal())
		r.webhookForm(at, &e)
		r.webhookEvents(at+".events", &a.Channels, &e)
		for j, p := range e.ChannelPrefixes {
			if p == "" {
				r.faultf(fmt.Sprintf("%s.channel_prefixes[%d]", at, j), "a prefix is not empty; leave channel_prefixes out for all channels")
			}
		}
		r.webhookHeaders(at+".headers", e.Headers)
		all = append(all, diaphone.Webhook{
			Name: e.Name, URL: e.URL.Reveal(), Form: e.Format, Secrets: e.Secrets, Notices: e.Events, Prefixes: e.ChannelPrefixes, Headers: e.Headers,
		})
	}
	return all
}

// webhookURL looks at what is written. Whether the egress guard lets it out depends on
// flags, and is asked at the start and before each call.
func (r *appsReader) webhookURL(at, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		r.faultf(at, "an absolute URL is needed, such as https://example.com/hooks")
	case u.Scheme != "https" && (u.Scheme != "http" || !literal(u.Hostname())):
		r.faultf(at, "use https; http is for localhost and literal addresses that --egress-allow-cidr lets through")
	case u.User != nil:
		r.faultf(at, "no user and password in a URL: give them under headers, as Authorization")
	case u.Fragment != "":
		r.faultf(at, "a URL with a # is never sent whole: leave it and what follows out")
	}
}

// maxSecrets are in force at once: the new one, and the one that it takes the place of.
const maxSecrets = 2

// webhookForm checks the form and what it is signed with
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
// "Signature scheme": 24 to 64 random bytes).
func (r *appsReader) webhookForm(at string, e *webhookEntry) {
	switch {
	case e.Format == "" || e.Format == diaphone.FormPusher:
		if len(e.Secrets) > 0 {
			r.faultf(at+".secrets", "Pusher's form is signed with a key of the app: set format: standard, or leave secrets out")
		}
		return
	case e.Format != diaphone.FormStandard:
		r.faultf(at+".format", "there is no such form; there are %s (the default) and %s", diaphone.FormPusher, diaphone.FormStandard)
		return
	case len(e.Secrets) == 0 || len(e.Secrets) > maxSecrets:
		r.faultf(at+".secrets", "a standard webhook is signed with 1 to %d secrets of its own, whsec_ and 24 to 64 bytes as base64: run diaphone keys webhook for one", maxSecrets)
	}
	for i, s := range e.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", at, i)
		if key, err := hooks.SigningKey(s); err != nil || len(key) < 24 || len(key) > 64 {
			r.faultf(at, "a secret is whsec_ and 24 to 64 random bytes as base64: run diaphone keys webhook for one")
		}
		if slices.Contains(e.Secrets[:i], s) {
			r.faultf(at, "the secret stands twice")
		}
	}
}

func literal(host string) bool { return host == "localhost" || net.ParseIP(host) != nil }

// webhookEvents refuses what is unknown, and what was asked for but never happens.
func (r *appsReader) webhookEvents(at string, s *diaphone.ChannelSettings, e *webhookEntry) {
	off := map[diaphone.NoticeKind]string{}
	if !s.SubscriptionCount {
		off[diaphone.SubscriptionCount] = "subscription_count"
	}
	if !s.ClientEvents {
		off[diaphone.ClientEvent] = "client_events"
	}
	for i, k := range e.Events {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case !slices.Contains(diaphone.NoticeKinds(), k):
			r.faultf(at, "there is no such event; there are %s", strings.Join(texts(diaphone.NoticeKinds()), ", "))
		case !slices.Contains(e.Format.Kinds(), k):
			r.faultf(at, "Pusher's form has no room for %s: set format: standard, or leave it out here", k)
		case slices.Contains(e.Events[:i], k):
			r.faultf(at, "%s stands twice", k)
		case off[k] != "":
			r.faultf(at, "%s never happens in this app: set channels.%s to true, or leave it out here", k, off[k])
		}
	}
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

var (
	// RFC 9110 §5.6.2 and §5.5.
	headerName  = regexp.MustCompile("\\A[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\\z")
	headerValue = regexp.MustCompile(`\A[!-~](?:[ -~\t]*[!-~])?\z`)
	// What the sender or HTTP itself says.
	headerTaken = regexp.MustCompile(`(?i)\A(?:host|user-agent|content-.*|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|x-pusher-.*|webhook-.*|diaphone-.*|x-diaphone-.*)\z`)
)

// webhookHeaders names a header in a fault only when it looks like one.
func (r *appsReader) webhookHeaders(at string, headers map[string]diaphone.Secret) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		lower := strings.ToLower(name)
		switch {
		case !headerName.MatchString(name):
			r.faultf(at, "one of the names is not that of an HTTP header, such as Authorization")
		case headerTaken.MatchString(name):
			r.faultf(at+"."+name, "this header is set by the gateway: leave it out")
		case seen[lower]:
			r.faultf(at+"."+name, "the header stands twice, in another case")
		case !headerValue.MatchString(headers[name].Reveal()):
			r.faultf(at+"."+name, "a header's value is printable ASCII without blanks at its ends, and not empty")
		}
		seen[lower] = true
	}
}

// webhooks are those that the apps file declares.
func (t *Tenants) webhooks() (ids []diaphone.WebhookID) {
	for _, a := range t.Apps {
		for _, w := range a.Webhooks {
			ids = append(ids, diaphone.WebhookID{App: a.ID, Name: w.Name})
		}
	}
	return ids
}

// CheckWebhooks refuses what the guard would never let out: better at the start than
// at the first notice.
func (t *Tenants) CheckWebhooks(g *egress.Guard) error {
	for _, a := range t.Apps {
		for _, w := range a.Webhooks {
			if err := g.Check(w.URL); err != nil {
				return fmt.Errorf("webhook %s of app %s: %w", w.Name, a.ID, err)
			}
		}
	}
	return nil
}
