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
	"github.com/diaphone-dev/diaphone/internal/egress"
)

// webhookEntry is the part of an apps file that says whom to tell.
type webhookEntry struct {
	Name            string                     `yaml:"name"`
	URL             diaphone.Secret            `yaml:"url"` // its query often holds one
	Events          []diaphone.NoticeKind      `yaml:"events"`
	ChannelPrefixes []string                   `yaml:"channel_prefixes"`
	Headers         map[string]diaphone.Secret `yaml:"headers"`
}

func (r *appsReader) webhooks(at string, a *diaphone.App, entries []webhookEntry) (hooks []diaphone.Webhook) {
	if _, signs := a.SigningKey(); len(entries) > 0 && !signs {
		r.faultf(at, "what webhooks are told is signed with a key of the app: give it one under keys, in use")
	}
	for i, e := range entries {
		at := fmt.Sprintf("%s[%d]", at, i)
		if !appID.MatchString(e.Name) {
			r.faultf(at+".name", "a webhook's name is 1 to 64 letters, digits, _ or -")
		}
		if slices.ContainsFunc(hooks, func(w diaphone.Webhook) bool { return w.Name == e.Name }) {
			r.faultf(at+".name", "two webhooks are named %q: give this one a name of its own", e.Name)
		}
		r.webhookURL(at+".url", e.URL.Reveal())
		r.webhookEvents(at+".events", &a.Channels, e.Events)
		for j, p := range e.ChannelPrefixes {
			if p == "" {
				r.faultf(fmt.Sprintf("%s.channel_prefixes[%d]", at, j), "a prefix is not empty; leave channel_prefixes out for all channels")
			}
		}
		r.webhookHeaders(at+".headers", e.Headers)
		hooks = append(hooks, diaphone.Webhook{
			Name: e.Name, URL: e.URL.Reveal(), Notices: e.Events, Prefixes: e.ChannelPrefixes, Headers: e.Headers,
		})
	}
	return hooks
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

func literal(host string) bool { return host == "localhost" || net.ParseIP(host) != nil }

// webhookEvents refuses what is unknown, and what was asked for but never happens.
func (r *appsReader) webhookEvents(at string, s *diaphone.ChannelSettings, events []diaphone.NoticeKind) {
	off := map[diaphone.NoticeKind]string{}
	if !s.SubscriptionCount {
		off[diaphone.SubscriptionCount] = "subscription_count"
	}
	if !s.ClientEvents {
		off[diaphone.ClientEvent] = "client_events"
	}
	for i, k := range events {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case !slices.Contains(diaphone.NoticeKinds(), k):
			r.faultf(at, "there is no such event; there are %s", strings.Join(texts(diaphone.NoticeKinds()), ", "))
		case slices.Contains(events[:i], k):
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

// checkWebhooks refuses what the guard would never let out: better at the start than
// at the first notice.
func (t *Tenants) checkWebhooks(g *egress.Guard) error {
	for _, a := range t.Apps {
		for _, w := range a.Webhooks {
			if err := g.Check(w.URL); err != nil {
				return fmt.Errorf("webhook %s of app %s: %w", w.Name, a.ID, err)
			}
		}
	}
	return nil
}
