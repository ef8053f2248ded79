package hooks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/storage"
)

// Who wants to hear of what is told of it, once for all who do, and nobody else is asked
// anything.
func TestTelling(t *testing.T) {
	standard := func(name string, kinds ...diaphone.NoticeKind) diaphone.Webhook {
		return diaphone.Webhook{Name: name, Form: diaphone.FormStandard, Notices: kinds}
	}
	apps := []diaphone.App{
		{ID: "1", Webhooks: []diaphone.Webhook{{Name: "live"}, standard("all"), standard("lost", diaphone.UserUnreachable)}},
		{ID: "2", Webhooks: []diaphone.Webhook{{Name: "live"}}},
		{ID: "3"},
	}
	tell := hooks.Telling(apps, func(app diaphone.AppID, u diaphone.UserID) bool { return app == "1" && u == "here" }, nil)
	for _, app := range []diaphone.AppID{"1", "2", "3", "4"} {
		for _, k := range []diaphone.NoticeKind{diaphone.MessageFinished, diaphone.TokenDead, diaphone.UserUnreachable} {
			if got := tell.Wants(app, k); got != (app == "1") {
				t.Errorf("app %s wants %s: %v", app, k, got)
			}
		}
	}
	f := storage.Finished{App: "1", ID: "msg_1", Counts: diaphone.Counts{Accepted: 2, Failed: 2}, FinishedAt: time.UnixMilli(1_790_000_000_000),
		Unreached: []storage.Unreached{{User: "here", Reason: "expired"}, {User: "gone", Reason: "no_devices"}}}
	lines := func(all []storage.AddressedNotice) (text string) {
		for _, a := range all {
			text += fmt.Sprint(a.Notice.Kind, a.Webhooks, a.Notice.Data, "\n")
			if !strings.HasPrefix(a.Notice.ID, "ntc_") || !a.Notice.At.Equal(f.FinishedAt) {
				t.Errorf("%+v", a.Notice)
			}
		}
		return text
	}
	const finished = `message.finished[1/all]{"id":"msg_1","state":"finished","counts":{"accepted":2,"pending":0,"delivered":0,"failed":2,"expired":0,"suppressed":0,"cancelled":0},` +
		`"receipts":{"delivered":0,"displayed":0,"opened":0,"dismissed":0,"decrypt_failed":0},"finished_at":"2026-09-21T14:13:20.000Z"}` + "\n"
	const here = `user.unreachable[1/all 1/lost]{"user_id":"here","message_id":"msg_1","reason":"expired"}` + "\n"
	const gone = `user.unreachable[1/all 1/lost]{"user_id":"gone","message_id":"msg_1","reason":"no_devices"}` + "\n"
	if got := lines(tell.Finished(f)); got != finished+here+gone {
		t.Errorf("got\n%s", got)
	}
	f.Event = true // who is connected may have got it
	if got := lines(tell.Finished(f)); got != finished+gone {
		t.Errorf("with an event\n%s", got)
	}
	dead := tell.Dead(storage.DeadToken{App: "1", Device: "d", Token: diaphone.Token{Kind: diaphone.TokenFCM, Value: "geheim"}, Reason: "UNREGISTERED", At: f.FinishedAt})
	if got := lines(dead); got != `device.token_dead[1/all]{"device_id":"d","kind":"fcm","fingerprint":"`+diaphone.Secret("geheim").Fingerprint()+`","reason":"UNREGISTERED"}`+"\n" {
		t.Errorf("a dead token\n%s", got)
	}
	if none := hooks.Telling(apps[2:], nil, nil); none.Wants != nil {
		t.Error("who has no webhooks pays for them")
	}
}

// A credential that is refused, and taken again, is told within moments.
func TestCredentialsAreTold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.standard()
		w.app.Credentials = []diaphone.Credential{{Name: "ios", Provider: diaphone.APNs}}
		defer w.run()()
		lane := diaphone.Lane{App: "1", Credential: "ios"}
		w.engine.Refused(lane, &diaphone.Outcome{Status: 403, Reason: "InvalidProviderToken"})
		w.engine.Refused(diaphone.Lane{App: "none", Credential: "ios"}, &diaphone.Outcome{}) // has no webhooks
		w.engine.Refused(lane, nil)
		pass(time.Second)
		all := w.ends["one"].requests()
		if len(all) != 2 {
			t.Fatalf("%d requests", len(all))
		}
		for _, want := range []string{`"type":"credential.failed"`, `"data":{"credential":"ios","provider":"apns","status":403,"reason":"InvalidProviderToken"}`,
			`"type":"credential.recovered"`, `"data":{"credential":"ios","provider":"apns"}`} {
			if !strings.Contains(all[0].body+all[1].body, want) {
				t.Errorf("%s is not in %s and %s", want, all[0].body, all[1].body)
			}
		}
	})
}
