package app

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestWebhooksOfAnApp(t *testing.T) {
	tenants, err := load(t, `
apps:
  - id: "1"
    keys: [{ key: k, secret: s }]
    channels: { subscription_count: true, client_events: true }
    webhooks:
      - name: backend
        url: https://example.com/hooks?key=value
        events: [channel_occupied, client_event, subscription_count]
        channel_prefixes: [presence-, private-chat-]
        headers: { Authorization: Bearer abc, X-Tenant: "7" }
      - name: messages
        url: https://example.com/standard
        format: standard
        secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyCDGBKInavdOK15jsl]
        events: [message.finished, member_added]
      - { name: local, url: "http://127.0.0.1:8080", format: pusher }
      - { name: local6, url: "http://[::1]:8080/" }
      - { name: localname, url: "http://localhost/x" }
      - { name: Other-1, url: "https://10.0.0.1:8443/" }
      - { name: inside, url: "http://10.0.0.1/" }
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []diaphone.Webhook{
		{Name: "backend", URL: "https://example.com/hooks?key=value",
			Notices:  []diaphone.NoticeKind{diaphone.ChannelOccupied, diaphone.ClientEvent, diaphone.SubscriptionCount},
			Prefixes: []string{"presence-", "private-chat-"},
			Headers:  map[string]diaphone.Secret{"Authorization": "Bearer abc", "X-Tenant": "7"}},
		{Name: "messages", URL: "https://example.com/standard", Form: diaphone.FormStandard,
			Secrets: []diaphone.Secret{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyCDGBKInavdOK15jsl"},
			Notices: []diaphone.NoticeKind{diaphone.MessageFinished, diaphone.MemberAdded}},
		{Name: "local", URL: "http://127.0.0.1:8080", Form: diaphone.FormPusher},
		{Name: "local6", URL: "http://[::1]:8080/"},
		{Name: "localname", URL: "http://localhost/x"},
		{Name: "Other-1", URL: "https://10.0.0.1:8443/"},
		{Name: "inside", URL: "http://10.0.0.1/"},
	}
	if got := tenants.Apps[0].Webhooks; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestWebhooksThatAreRefused(t *testing.T) {
	const head = "apps:\n  - id: \"1\"\n    keys: [{ key: k, secret: s }]\n    webhooks:\n      - name: backend\n        url: https://example.com\n"
	for text, part := range map[string]string{
		"      - name: backend\n        url: https://other.example.com\n": `:7: apps[0].webhooks[1].name: two webhooks are named "backend"`,
		"      - name: a b\n        url: https://other.example.com\n":     ":7: apps[0].webhooks[1].name: a webhook's name",
		"      - url: https://other.example.com\n":                        "webhooks[1].name: a webhook's name",
		"      - name: b\n":                                                                                      "webhooks[1].url: an absolute URL",
		"      - name: b\n        url: secretive\n":                                                              ":8: apps[0].webhooks[1].url: an absolute URL",
		"      - name: b\n        url: \"https://secretive:x\"\n":                                                "an absolute URL",
		"      - name: b\n        url: \"https:secretive\"\n":                                                    "an absolute URL",
		"      - name: b\n        url: http://secretive.example.com\n":                                           "use https; http is for localhost",
		"      - name: b\n        url: http://127.0.0.1.example.com\n":                                           "use https",
		"      - name: b\n        url: ftp://localhost\n":                                                        "use https",
		"      - name: b\n        url: https://user:secretive@a.test\n":                                          "under headers, as Authorization",
		"      - name: b\n        url: https://a.test/#secretive\n":                                              "never sent whole",
		"        events: [channel_ocupied]\n":                                                                    ":7: apps[0].webhooks[0].events[0]: there is no such event; there are channel_occupied, ",
		"        events: [member_added, member_added]\n":                                                         "events[1]: member_added stands twice",
		"        events: [subscription_count]\n":                                                                 "subscription_count never happens in this app: set channels.subscription_count to true",
		"        events: [member_added, client_event]\n":                                                         "events[1]: client_event never happens in this app: set channels.client_events to true",
		"        channel_prefixes: [a-, \"\"]\n":                                                                 "channel_prefixes[1]: a prefix is not empty",
		"        headers:\n          \"sec ret\": secretive\n":                                                   ":8: apps[0].webhooks[0].headers: one of the names",
		"        headers:\n          content-type: secretive\n":                                                  "headers.content-type: this header is set by the gateway",
		"        headers:\n          A: b\n          X-Pusher-Key: x\n":                                          ":9: apps[0].webhooks[0].headers.X-Pusher-Key: this header",
		"        headers: { Webhook-Id: x }\n":                                                                   "set by the gateway",
		"        headers: { A: b, a: c }\n":                                                                      "headers.a: the header stands twice",
		"        headers: { A: \"secretive\\r\\nB: c\" }\n":                                                      "headers.A: a header's value",
		"        headers: { A: \"\" }\n":                                                                         "headers.A: a header's value",
		"        format: pushr\n":                                                                                "webhooks[0].format: there is no such form; there are pusher (the default) and standard",
		"        events: [message.finished]\n":                                                                   "events[0]: Pusher's form has no room for message.finished: set format: standard",
		"        secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]\n":                                            "secrets: Pusher's form is signed with a key of the app",
		"        format: standard\n":                                                                             "secrets: a standard webhook is signed with 1 to 2 secrets",
		"        format: standard\n        secrets: [secretive]\n":                                               "secrets[0]: a secret is whsec_ and 24 to 64 random bytes",
		"        format: standard\n        secrets: [whsec_c2VjcmV0aXZl]\n":                                      "secrets[0]: a secret is whsec_ and 24 to 64",
		"        format: standard\n        secrets: [" + whsec + ", " + whsec + "]\n":                            "secrets[1]: the secret stands twice",
		"        format: standard\n        secrets: [" + whsec + ", whsec_" + strings.Repeat("AAAA", 22) + "]\n": "secrets[1]: a secret is",
		"        format: standard\n        secrets: [a, b, c]\n":                                                 "1 to 2 secrets",
		"        header: { A: b }\n":                                                                             "unknown field",
	} {
		_, err := load(t, head+text)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", text, err, part)
		}
		if err != nil && strings.Contains(err.Error(), "secretive") {
			t.Errorf("%s: the error repeats what may be a secret: %v", text, err)
		}
	}
	_, err := load(t, "apps:\n  - id: \"1\"\n    webhooks: [{ name: a, url: \"https://a.test\" }]\n")
	if err == nil || !strings.Contains(err.Error(), ":3: apps[0].webhooks: what webhooks are told in Pusher's form is signed with a key of the app") {
		t.Errorf("an app without a key: %v", err)
	}
	if _, err := load(t, "apps:\n  - id: \"1\"\n    webhooks: [{ name: a, url: \"https://a.test\", format: standard, secrets: ["+whsec+"] }]\n"); err != nil {
		t.Errorf("a standard webhook needs no key of the app: %v", err)
	}
	if _, err = load(t, strings.Replace(head, "secret: s", "secret: s, enabled: false", 1)); err == nil || !strings.Contains(err.Error(), "signed with a key of the app") {
		t.Errorf("an app whose only key is disabled: %v", err)
	}
}

// What the egress guard would not let out does not even start.
func TestWebhooksPassTheGuard(t *testing.T) {
	for url, part := range map[string]string{
		"http://127.0.0.1:8080/secretive": "--egress-allow-cidr", "https://10.0.0.1/secretive": "not public",
		"https://localhost/secretive": "this machine", "https://example.com/secretive": "",
	} {
		tenants, err := load(t, "apps:\n  - id: \"1\"\n    keys: [{ key: k, secret: s }]\n    webhooks: [{ name: w, url: \""+url+"\" }]\n")
		if err != nil {
			t.Fatal(err)
		}
		err = tenants.CheckWebhooks((&Config{}).Egress(nil))
		if (err == nil) != (part == "") || err != nil && (!strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "secretive")) {
			t.Errorf("%s: %v, want %q", url, err, part)
		}
		all := Config{EgressAllowCidr: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::1/128")}}
		if err := tenants.CheckWebhooks(all.Egress(nil)); err != nil {
			t.Errorf("%s is allowed, and yet: %v", url, err)
		}
	}
}
