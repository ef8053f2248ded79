package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/app"
)

type configCmd struct {
	jsonFlag
	app.Config
}

// Run checks what serve would be run with, and prints it. Every secret is
// masked: none of them is printed even when the check fails.
func (k *configCmd) Run(c *console) error {
	if err := k.Validate(); err != nil {
		return configFault(err)
	}
	if err := k.CheckCertificate(); err != nil {
		return configFault(err)
	}
	tenants, err := app.LoadApps(k.Apps, k.Egress(nil))
	if err != nil {
		return configFault(err)
	}
	defer tenants.Close()
	if err := tenants.CheckWebhooks(k.Egress(nil)); err != nil {
		return configFault(err)
	}
	settings := yaml.MapSlice{}
	for field, value := range reflect.ValueOf(k.Config).Fields() {
		v := value.Interface()
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		settings = append(settings, yaml.MapItem{Key: flagName(field), Value: v})
	}
	effective := yaml.MapSlice{{Key: "settings", Value: settings}, {Key: "apps", Value: describe(tenants)}}
	if k.JSON {
		return c.json(plain(effective))
	}
	text, err := yaml.Marshal(effective)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s", text)
	return err
}

// describe says what an apps file declares, without its secrets.
func describe(t *app.Tenants) []yaml.MapSlice {
	var all []yaml.MapSlice
	for _, a := range t.Apps {
		keys := []string{}
		for _, k := range a.Keys {
			state := ""
			if k.Disabled {
				state = ", disabled"
			}
			keys = append(keys, k.Key+" (secret "+k.Secret.String()+state+")")
		}
		credentials := []yaml.MapSlice{}
		for _, cr := range a.Credentials {
			credentials = append(credentials, yaml.MapSlice{
				{Key: "name", Value: cr.Name}, {Key: "provider", Value: string(cr.Provider)}, {Key: "environment", Value: string(cr.Environment)},
				{Key: "rate", Value: cr.Rate}, {Key: "concurrency", Value: cr.Slots()},
			})
		}
		tokens := []yaml.MapSlice{}
		for _, t := range a.Tokens {
			tokens = append(tokens, yaml.MapSlice{{Key: "name", Value: t.Name}, {Key: "publishes_per_second", Value: t.Publishes}})
		}
		identities := []string{}
		for _, k := range a.IdentityKeys {
			identities = append(identities, fmt.Sprintf("%s (%s)", k.ID, k.Algorithm))
		}
		all = append(all, yaml.MapSlice{
			{Key: "id", Value: string(a.ID)}, {Key: "name", Value: a.Name}, {Key: "enabled", Value: !a.Disabled}, {Key: "keys", Value: keys},
			{Key: "tokens", Value: tokens}, {Key: "enrolment", Value: a.Enrolment}, {Key: "identity_keys", Value: identities}, {Key: "credentials", Value: credentials},
			{Key: "channels", Value: describeChannels(&a.Channels)}, {Key: "limits", Value: describeLimits(a.Limits)},
			{Key: "confirm", Value: describeConfirmation(a.Confirm.InForce())},
			{Key: "webhooks", Value: describeWebhooks(a.Webhooks)},
		})
	}
	return all
}

func describeChannels(s *diaphone.ChannelSettings) yaml.MapSlice {
	origins := []string{}
	for _, o := range s.Origins {
		origins = append(origins, string(o))
	}
	history := []string{}
	for _, h := range s.History {
		rule, _ := s.HistoryOf(diaphone.ChannelName(h.Prefix))
		history = append(history, fmt.Sprintf("%s*: %d events, %s", h.Prefix, rule.Events, rule.For))
	}
	return yaml.MapSlice{
		{Key: "client_events", Value: s.ClientEvents}, {Key: "subscription_count", Value: s.SubscriptionCount},
		{Key: "watchlist", Value: !s.NoWatchlist}, {Key: "tls_only", Value: s.TLSOnly}, {Key: "origins", Value: origins},
		{Key: "authorise_within", Value: s.AuthoriseWithin.String()},
		{Key: "history", Value: history},
	}
}

func describeConfirmation(c diaphone.Confirmation) yaml.MapSlice {
	return yaml.MapSlice{{Key: "within", Value: c.Within.String()}, {Key: "by", Value: string(c.By)}}
}

func describeLimits(l diaphone.Limits) yaml.MapSlice {
	return yaml.MapSlice{
		{Key: "event_bytes", Value: l.MaxEventBytes()}, {Key: "connections", Value: l.Connections},
		{Key: "presence_members", Value: l.MaxPresenceMembers()}, {Key: "channels_per_connection", Value: l.MaxChannels()},
		{Key: "client_events_per_second", Value: l.MaxClientEvents()}, {Key: "user_info_bytes", Value: l.MaxUserInfo()},
		{Key: "messages_per_second", Value: l.MaxMessages()}, {Key: "publishes_per_second", Value: l.Publishes},
		{Key: "pending", Value: l.MaxPending()}, {Key: "scheduled", Value: l.MaxScheduled()},
		{Key: "enrolments_per_minute", Value: l.MaxEnrolments()}, {Key: "device_calls_per_minute", Value: l.MaxDeviceCalls()}, {Key: "devices", Value: l.Devices},
	}
}

// describeWebhooks leaves out what may be a secret: headers, and the URL but for
// its host.
func describeWebhooks(hooks []diaphone.Webhook) []yaml.MapSlice {
	all := []yaml.MapSlice{}
	for _, w := range hooks {
		host := ""
		if u, err := url.Parse(w.URL); err == nil {
			host = u.Host
		}
		all = append(all, yaml.MapSlice{
			{Key: "name", Value: w.Name}, {Key: "host", Value: host}, {Key: "format", Value: string(cmp.Or(w.Form, diaphone.FormPusher))},
			{Key: "secrets", Value: len(w.Secrets)}, {Key: "events", Value: w.Notices},
			{Key: "channel_prefixes", Value: w.Prefixes}, {Key: "headers", Value: slices.Sorted(maps.Keys(w.Headers))},
		})
	}
	return all
}

// plain turns ordered maps into what encoding/json knows.
func plain(v any) any {
	switch v := v.(type) {
	case yaml.MapSlice:
		m := make(map[string]any, len(v))
		for _, item := range v {
			m[fmt.Sprint(item.Key)] = plain(item.Value)
		}
		return m
	case []yaml.MapSlice:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	}
	return v
}

// flagName is kong's: DataDir is --data-dir, unless its tag says otherwise.
func flagName(field reflect.StructField) string {
	if name, ok := field.Tag.Lookup("name"); ok {
		return name
	}
	var b strings.Builder
	for i, r := range field.Name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
