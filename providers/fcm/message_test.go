package fcm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

func ptr(n int) *int { return &n }

// at is when the golden message is accepted.
var at = time.Unix(1_800_000_000, 0)

func golden(n diaphone.Notification) *diaphone.Message {
	return &diaphone.Message{
		ID: "msg_06f3k9q2v8c7h0a1b2c3d4e5f6", Notification: &n, AcceptedAt: at, Expires: n.Deadline(at),
	}
}

func TestMessages(t *testing.T) {
	const ids = `"_mid":"msg_06f3k9q2v8c7h0a1b2c3d4e5f6","_nid":"N"`
	for name, c := range map[string]struct {
		n    diaphone.Notification
		want string
	}{
		"alert": {
			diaphone.Notification{Title: "Ana", Body: `a < b & "c"`, Data: map[string]string{"chat": "7", "Alpha": "é"}, TTL: ptr(60)},
			`{"android":{"notification":{},"priority":"HIGH","ttl":"60s"},` +
				`"apns":{"headers":{"apns-expiration":"1800000060","apns-priority":"10","apns-push-type":"alert"},"payload":{"aps":{}}},` +
				`"notification":{"body":"a < b & \"c\"","title":"Ana"},"data":{"Alpha":"é",` + strings.Replace(ids, `,"_nid"`, `,"chat":"7","_nid"`, 1) + `}}`,
		},
		"everything": {
			diaphone.Notification{
				Title: "Ana", Image: "https://example.com/a.png", CollapseID: "chat-7",
				Priority: diaphone.PriorityNormal, Badge: ptr(0), Sound: "default", TTL: ptr(0),
			},
			`{"android":{"collapse_key":"chat-7","notification":{"notification_count":0,"sound":"default","tag":"chat-7"},"priority":"NORMAL","ttl":"0s"},` +
				`"apns":{"headers":{"apns-collapse-id":"chat-7","apns-expiration":"0","apns-priority":"5","apns-push-type":"alert"},` +
				`"payload":{"aps":{"badge":0,"mutable-content":1,"sound":"default"}}},` +
				`"notification":{"image":"https://example.com/a.png","title":"Ana"},"data":{` + ids + `}}`,
		},
		"data only": {
			diaphone.Notification{Data: map[string]string{"Sync": "1"}},
			`{"android":{"priority":"HIGH","ttl":"2419200s"},` +
				`"apns":{"headers":{"apns-expiration":"1802419200","apns-priority":"5","apns-push-type":"background"},"payload":{"aps":{"content-available":1}}},` +
				`"data":{"Sync":"1",` + ids + `}}`,
		},
		"a badge alone shows nothing on Android": {
			diaphone.Notification{Badge: ptr(3)},
			`{"android":{"priority":"HIGH","ttl":"2419200s"},` +
				`"apns":{"headers":{"apns-expiration":"1802419200","apns-priority":"10","apns-push-type":"alert"},"payload":{"aps":{"badge":3}}},` +
				`"data":{` + ids + `}}`,
		},
		"overrides": {
			diaphone.Notification{Title: "Ana", Data: map[string]string{"Chat": "7"}, FCM: json.RawMessage(
				`{"android":{"bandwidth_constrained_ok":true,"priority":"NORMAL","notification":{"channel_id":"chat"},"ttl":null},
				"apns":null,"data":{"Chat":null,"Room":"8"},"notification":{"title":"Eva"},"fcm_options":{"analytics_label":"a"}}`)},
			`{"android":{"bandwidth_constrained_ok":true,"notification":{"channel_id":"chat"},"priority":"NORMAL"},` +
				`"fcm_options":{"analytics_label":"a"},"notification":{"title":"Eva"},"data":{"Room":"8",` + ids + `}}`,
		},
		"mode voip": {
			diaphone.Notification{Mode: diaphone.ModeVoIP, Data: map[string]string{"Id": "1"}},
			`{"android":{"priority":"HIGH","ttl":"30s"},"data":{"Id":"1",` + ids + `}}`,
		},
		"mode background": {
			diaphone.Notification{Mode: diaphone.ModeBackground, TTL: ptr(60)},
			`{"android":{"priority":"NORMAL","ttl":"60s"},` +
				`"apns":{"headers":{"apns-expiration":"1800000060","apns-priority":"5","apns-push-type":"background"},"payload":{"aps":{"content-available":1}}},` +
				`"data":{` + ids + `}}`,
		},
		"mode data": {
			diaphone.Notification{Mode: diaphone.ModeData, Data: map[string]string{"Sync": "1"}, Priority: diaphone.PriorityNormal, TTL: ptr(0)},
			`{"android":{"priority":"NORMAL","ttl":"0s"},` +
				`"apns":{"headers":{"apns-expiration":"0","apns-priority":"5","apns-push-type":"background"},"payload":{"aps":{"content-available":1}}},` +
				`"data":{"Sync":"1",` + ids + `}}`,
		},
		"nothing left": {
			diaphone.Notification{Title: "Ana", FCM: json.RawMessage(`{"android":null,"apns":null,"notification":null,"data":null}`)},
			`{"data":{` + ids + `}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := golden(c.n)
			r, err := render(m, exchange.Remaining(m, at))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.message("N", "")); got != c.want {
				t.Errorf("message\n%s, want\n%s", got, c.want)
			}
			with := strings.TrimSuffix(c.want, "}") + `,"token":"a:b\"\\c"}`
			if got := string(r.message("N", `a:b"\c`)); got != with || !json.Valid([]byte(got)) {
				t.Errorf("with token\n%s, want\n%s", got, with)
			}
		})
	}
}

func TestRefusalsPointAtTheField(t *testing.T) {
	raw := func(fcm string) diaphone.Notification {
		return diaphone.Notification{Title: "a", FCM: json.RawMessage(fcm)}
	}
	const f = "/notification/fcm"
	for i, c := range []struct {
		n       diaphone.Notification
		code    diaphone.Code
		pointer string
	}{
		{raw(`[]`), diaphone.Invalid, f},
		{raw(`{`), diaphone.Invalid, f},
		{raw(`{"a":1} 2`), diaphone.Invalid, f},
		{raw(`{"token":"x"}`), diaphone.Invalid, f + "/token"},
		{raw(`{"topic":"x"}`), diaphone.Invalid, f + "/topic"},
		{raw(`{"condition":null}`), diaphone.Invalid, f + "/condition"},
		{raw(`{"data":"x"}`), diaphone.Invalid, f + "/data"},
		{raw(`{"data":{"a/b":7}}`), diaphone.Invalid, f + "/data/a~1b"},
		{raw(`{"data":{"_nid":"x"}}`), diaphone.Invalid, f + "/data/_nid"},
		{raw(`{"data":{"_mid":null}}`), diaphone.Invalid, f + "/data/_mid"},
		{diaphone.Notification{Image: "https://exa mple/%zz"}, diaphone.Invalid, "/notification/image"},
		{diaphone.Notification{Body: strings.Repeat("x", 5000)}, diaphone.TooLarge, "/notification"},
	} {
		_, err := render(golden(c.n), 60)
		var e *diaphone.Error
		if !errors.As(err, &e) || e.Code != c.code || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer {
			t.Errorf("case %d: %v, want %s at %s", i, err, c.code, c.pointer)
		}
	}
}

func TestTooLargeSaysHowLarge(t *testing.T) {
	small, err := render(golden(diaphone.Notification{Body: "x"}), 60)
	if err != nil {
		t.Fatal(err)
	}
	size := len(small.message(strings.Repeat("0", 36), "")) + 4999
	_, err = render(golden(diaphone.Notification{Body: strings.Repeat("x", 5000)}), 60)
	want := fmt.Sprintf("the FCM message has %d bytes, the limit is 4096", size)
	var e *diaphone.Error
	if !errors.As(err, &e) || e.Detail != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestTheSimulatorTakesThemAll: its JSON schema is strict.
func TestTheSimulatorTakesThemAll(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	token := lab.Device("ana", "android")
	for i, n := range []diaphone.Notification{
		{Title: "Ana", Body: "hello & <goodbye>\u2028", TTL: ptr(0), Data: map[string]string{"a": "<&>"}},
		{Data: map[string]string{"sync": "1"}, Priority: diaphone.PriorityNormal},
		{Badge: ptr(3), Sound: "default"},
		{Title: "x", Image: "https://example.com/a.png", CollapseID: "c", Badge: ptr(0)},
		{Title: "x", FCM: json.RawMessage(`{"android":{"bandwidth_constrained_ok":true,"notification":{"channel_id":"c"}},"webpush":{"headers":{"Urgency":"high"}}}`)},
		{Body: strings.Repeat("é", 1700)},
	} {
		d := providertest.Delivery(providertest.Message(n), diaphone.TokenFCM, token)
		if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
			t.Fatalf("case %d: %+v", i, o)
		}
		var got struct{ Message map[string]any }
		if err := json.Unmarshal(lab.Inbox("ana")[0].Payload, &got); err != nil {
			t.Fatal(err)
		}
		r, err := p.Render(d.Message)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(strings.Replace(string(r.Payload), strings.Repeat("0", 36), d.ID, 1)), &want); err != nil {
			t.Fatal(err)
		}
		want["token"] = token
		delete(got.Message["android"].(map[string]any), "ttl") // a second may have passed
		delete(want["android"].(map[string]any), "ttl")
		if a, b := fmt.Sprint(got.Message), fmt.Sprint(want); a != b {
			t.Errorf("case %d: sent\n%s, rendered\n%s", i, a, b)
		}
	}
}
