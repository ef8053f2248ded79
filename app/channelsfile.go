package app

import (
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// The part of an apps file that is about the live side.
type (
	channelsEntry struct {
		ClientEvents      bool              `yaml:"client_events"`
		SubscriptionCount bool              `yaml:"subscription_count"`
		Watchlist         *bool             `yaml:"watchlist"` // nil: on
		TLSOnly           bool              `yaml:"tls_only"`
		Origins           []diaphone.Origin `yaml:"origins"`
		AuthoriseWithin   time.Duration     `yaml:"authorise_within"`
		History           []historyEntry    `yaml:"history"`
	}
	historyEntry struct {
		Prefix string        `yaml:"prefix"`
		Events int           `yaml:"events"`
		For    time.Duration `yaml:"for"`
	}
	confirmEntry struct {
		Within time.Duration  `yaml:"within"`
		By     diaphone.Proof `yaml:"by"`
	}
	limitsEntry struct {
		EventBytes      int `yaml:"event_bytes"`
		Connections     int `yaml:"connections"`
		PresenceMembers int `yaml:"presence_members"`
		Channels        int `yaml:"channels_per_connection"`
		ClientEvents    int `yaml:"client_events_per_second"`
		UserInfo        int `yaml:"user_info_bytes"`
		Messages        int `yaml:"messages_per_second"`
		Publishes       int `yaml:"publishes_per_second"`
		Pending         int `yaml:"pending"`
		Scheduled       int `yaml:"scheduled"`
		Enrolments      int `yaml:"enrolments_per_minute"`
		DeviceCalls     int `yaml:"device_calls_per_minute"`
		Devices         int `yaml:"devices"`
	}
)

// minAuthoriseWithin is less than any client needs to ask its backend.
const minAuthoriseWithin = time.Second

func (r *appsReader) channels(at string, e channelsEntry) diaphone.ChannelSettings {
	for i, o := range e.Origins {
		if err := o.Validate(); err != nil {
			r.faultf(fmt.Sprintf("%s.origins[%d]", at, i), "%v", err)
		}
	}
	if w := e.AuthoriseWithin; w != 0 && w < minAuthoriseWithin {
		r.faultf(at+".authorise_within", "at least %s, such as 30s; leave it out to let connections be", minAuthoriseWithin)
	}
	var history []diaphone.HistoryRule
	for i, h := range e.History {
		if h.Events < 0 || h.For < 0 {
			r.faultf(fmt.Sprintf("%s.history[%d]", at, i), "events and for are 0 (the default) or more")
		}
		history = append(history, diaphone.HistoryRule(h))
	}
	return diaphone.ChannelSettings{
		ClientEvents:      e.ClientEvents,
		SubscriptionCount: e.SubscriptionCount,
		NoWatchlist:       e.Watchlist != nil && !*e.Watchlist,
		TLSOnly:           e.TLSOnly,
		Origins:           e.Origins,
		AuthoriseWithin:   e.AuthoriseWithin,
		History:           history,
	}
}

func (r *appsReader) limits(at string, e limitsEntry) diaphone.Limits {
	for name, limit := range map[string]int{
		"event_bytes": e.EventBytes, "connections": e.Connections, "presence_members": e.PresenceMembers,
		"channels_per_connection": e.Channels, "client_events_per_second": e.ClientEvents,
		"user_info_bytes": e.UserInfo, "messages_per_second": e.Messages, "publishes_per_second": e.Publishes,
		"pending": e.Pending, "scheduled": e.Scheduled,
		"enrolments_per_minute": e.Enrolments, "device_calls_per_minute": e.DeviceCalls, "devices": e.Devices,
	} {
		if limit < 0 {
			r.faultf(at+"."+name, "limits are 0 (the default) or more")
		}
	}
	return diaphone.Limits(e)
}

func (r *appsReader) confirm(at string, e confirmEntry) diaphone.Confirmation {
	if w := e.Within; w != 0 && (w < diaphone.MinConfirmWithin || w > diaphone.MaxConfirmWithin) {
		r.faultf(at+".within", "%s to %s; leave it out for %s", diaphone.MinConfirmWithin, diaphone.MaxConfirmWithin, diaphone.DefaultConfirmWithin)
	}
	if e.By != "" && e.By != diaphone.ByPong && e.By != diaphone.ByReceipt {
		r.faultf(at+".by", "%q: use %s or %s", e.By, diaphone.ByPong, diaphone.ByReceipt)
	}
	return diaphone.Confirmation(e)
}
