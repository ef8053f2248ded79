package hooks

import (
	"encoding/json"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

// The data of notices that are about no channel.
type (
	finishedData struct {
		ID          diaphone.MessageID    `json:"id"`
		State       diaphone.MessageState `json:"state"`
		Counts      wire.Counts           `json:"counts"`
		Receipts    wire.ReceiptCounts    `json:"receipts"`
		FinishedAt  wire.Time             `json:"finished_at"`
		CancelledAt wire.Time             `json:"cancelled_at,omitzero"`
	}
	deadData struct {
		Device      diaphone.DeviceID  `json:"device_id"`
		User        diaphone.UserID    `json:"user_id,omitempty"`
		Kind        diaphone.TokenKind `json:"kind"`
		Fingerprint string             `json:"fingerprint"`
		Reason      string             `json:"reason"`
	}
	unreachableData struct {
		User    diaphone.UserID    `json:"user_id"`
		Message diaphone.MessageID `json:"message_id"`
		Reason  string             `json:"reason"`
	}
	credentialData struct {
		Credential string                `json:"credential"`
		Provider   diaphone.ProviderName `json:"provider"`
		Status     int                   `json:"status,omitempty"`
		Reason     string                `json:"reason,omitempty"`
	}
)

// teller makes the notices of the asleep side.
type teller struct {
	apps   map[diaphone.AppID]*diaphone.App // that have webhooks
	online func(app diaphone.AppID, u diaphone.UserID) bool
}

// Telling is what a store is opened with that puts notices of messages into the logs.
// online tells whether a user is connected; told, which is to be an engine's Told, may
// come to life later than the store.
func Telling(apps []diaphone.App, online func(app diaphone.AppID, u diaphone.UserID) bool, told func(id diaphone.WebhookID, appended, dropped int)) storage.Telling {
	t := &teller{apps: map[diaphone.AppID]*diaphone.App{}, online: online}
	for i := range apps {
		if len(apps[i].Webhooks) > 0 {
			t.apps[apps[i].ID] = &apps[i]
		}
	}
	if len(t.apps) == 0 {
		return storage.Telling{}
	}
	return storage.Telling{Wants: t.wants, Finished: t.finished, Dead: t.dead, Told: told, MaxPending: defaultMaxPending}
}

// Told takes note of what a store has put into the log of a webhook. It never blocks.
func (e *Engine) Told(id diaphone.WebhookID, appended, dropped int) {
	count(e.Metrics.appended, id, appended)
	if dropped > 0 {
		count(e.Metrics.dropped, id, dropped)
	}
	e.Wake(id)
}

func (t *teller) wants(app diaphone.AppID, kind diaphone.NoticeKind) bool {
	a := t.apps[app]
	return a != nil && wants(a, kind, "")
}

func (t *teller) finished(f storage.Finished) (all []storage.AddressedNotice) {
	all = t.add(all, f.App, diaphone.MessageFinished, f.FinishedAt, finishedData{
		ID: f.ID, State: diaphone.Finished, Counts: wire.Counts(f.Counts), Receipts: wire.ReceiptCounts(f.Receipts),
		FinishedAt: wire.At(f.FinishedAt), CancelledAt: wire.At(f.CancelledAt),
	})
	for _, u := range f.Unreached {
		// Whether somebody who is connected has got the event is not known; that they
		// cannot be reached would be wrong in any case.
		if f.Event && t.online(f.App, u.User) {
			continue
		}
		all = t.add(all, f.App, diaphone.UserUnreachable, f.FinishedAt, unreachableData{User: u.User, Message: f.ID, Reason: u.Reason})
	}
	return all
}

func (t *teller) dead(d storage.DeadToken) []storage.AddressedNotice {
	return t.add(nil, d.App, diaphone.TokenDead, d.At, deadData{
		Device: d.Device, User: d.User, Kind: d.Token.Kind, Fingerprint: d.Token.Value.Fingerprint(), Reason: d.Reason,
	})
}

// add addresses a notice to whoever wants to hear of it.
func (t *teller) add(all []storage.AddressedNotice, app diaphone.AppID, kind diaphone.NoticeKind, at time.Time, data any) []storage.AddressedNotice {
	to := wanting(t.apps[app], kind, "")
	if len(to) == 0 {
		return all
	}
	text, err := json.Marshal(data)
	if err != nil { // not of these types
		return all
	}
	n := diaphone.Notice{ID: diaphone.NewNoticeID(at), At: at, Kind: kind, Data: string(text)}
	return append(all, storage.AddressedNotice{Notice: n, Webhooks: to})
}

// Refused has the backends of a lane's app told that its provider refuses the
// credential, with the provider's answer, or (nil) takes it again. It never blocks.
func (e *Engine) Refused(lane diaphone.Lane, o *diaphone.Outcome) {
	l := e.ledgers[lane.App]
	if l == nil {
		return
	}
	kind, data := diaphone.CredentialRecovered, credentialData{Credential: lane.Credential}
	if o != nil {
		kind, data.Status, data.Reason = diaphone.CredentialFailed, o.Status, o.Reason
	}
	for _, c := range l.app.Credentials {
		if c.Name == lane.Credential {
			data.Provider = c.Provider
		}
	}
	if text, err := json.Marshal(data); err == nil { // always, of this type
		e.Notice(l.app, diaphone.Notice{Kind: kind, Data: string(text)})
	}
}
