package rest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
	engine "github.com/diaphone-dev/diaphone/push"
	"github.com/diaphone-dev/diaphone/storage"
)

// explain asks, and gives the answer.
func explain(t *testing.T, s *apitest.Server, id diaphone.MessageID, of string) wire.Explanation {
	t.Helper()
	a := s.Do(apitest.Token1, "GET", "/v1/explain?message="+string(id)+"&"+of, "")
	must(t, a, 200)
	var x wire.Explanation
	a.JSON(t, &x)
	if x.Because.Means == "" {
		t.Errorf("%s has no sentence", x.Because.Code)
	}
	return x
}

func publish(t *testing.T, s *apitest.Server, body string) diaphone.MessageID {
	t.Helper()
	a := s.Do(apitest.Token1, "POST", "/v1/messages", body)
	must(t, a, 202)
	var p wire.Published
	a.JSON(t, &p)
	return p.ID
}

// settleAll has the lane's deliveries end so, each with an attempt if there is a reason
// of a provider's.
func settleAll(t *testing.T, s *apitest.Server, credential string, end storage.Result) {
	t.Helper()
	lane := diaphone.Lane{App: "1", Credential: credential}
	batches, _, err := s.Store.Claim(context.Background(), storage.Claim{Lane: lane, Now: time.Now().Add(time.Minute), N: 1000, Lease: time.Minute})
	if err != nil || len(batches) == 0 {
		t.Fatalf("claim: %v, %v", batches, err)
	}
	for i := range batches {
		work := storage.Settlement{Batch: &batches[i]}
		for _, it := range batches[i].Items {
			r := end
			r.Index = it.Index
			work.Results = append(work.Results, r)
		}
		if _, err := s.Store.Settle(context.Background(), []storage.Settlement{work}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func attempted(state diaphone.State, v diaphone.Verdict, status int, reason string) storage.Result {
	return storage.Result{State: state, Reason: reason, Tries: 1,
		Attempt: &diaphone.Attempt{At: time.Now(), Verdict: v, Status: status, Reason: reason, Latency: 10 * time.Millisecond}}
}

func TestWhyAPhoneDidNotRing(t *testing.T) {
	const phone = `{"platform":"android","user_id":"ana","tokens":[{"kind":"fcm","value":"secret-token"}]}`
	const toAna = `{"to":{"users":["ana"]},"notification":{"title":"x"}}`
	later := func(r storage.Result) storage.Result { r.RetryAt = time.Now().Add(time.Hour); return r }
	for name, c := range map[string]struct {
		before, body string
		do           func(*testing.T, *apitest.Server, diaphone.MessageID)
		lane         engine.LaneState
		of           string
		want         string // code, and what stands in "do"
	}{
		"the provider took it":                 {phone, toAna, end(attempted(diaphone.Delivered, diaphone.Accepted, 200, "")), engine.LaneState{}, "user=ana", "delivered: focus mode"},
		"the phone showed it":                  {phone, toAna, reports(diaphone.ReceiptDelivered, diaphone.ReceiptDisplayed), engine.LaneState{}, "user=ana", "displayed: volume"},
		"the app could not read it":            {phone, toAna, reports(diaphone.ReceiptDelivered, diaphone.ReceiptDecryptFailed), engine.LaneState{}, "user=ana", "decrypt_failed: key"},
		"the app could read it in the end":     {phone, toAna, reports(diaphone.ReceiptDecryptFailed, diaphone.ReceiptOpened), engine.LaneState{}, "user=ana", "displayed: volume"},
		"the app only has it":                  {phone, toAna, reports(diaphone.ReceiptDelivered), engine.LaneState{}, "user=ana", "delivered: focus mode"},
		"erased since":                         {phone, toAna, gone, engine.LaneState{}, "user=ana", "devices_gone: deliveries"},
		"waits its turn":                       {phone, toAna, nil, engine.LaneState{}, "user=ana", "queued: "},
		"a dead token":                         {phone, toAna, end(attempted(diaphone.Failed, diaphone.Gone, 404, "UNREGISTERED")), engine.LaneState{}, "user=ana", "UNREGISTERED: opened once"},
		"a word that nobody knows":             {phone, toAna, end(attempted(diaphone.Failed, diaphone.Suspect, 400, "NewWord")), engine.LaneState{}, "user=ana", "NewWord: TestFlight"},
		"waits for a retry":                    {phone, toAna, end(later(attempted(diaphone.Pending, diaphone.Retry, 503, "UNAVAILABLE"))), engine.LaneState{}, "user=ana", "waiting_for_retry: tries again"},
		"waits for a proof":                    {phone, toAna, end(later(storage.Result{State: diaphone.Pending, Reason: diaphone.ReasonAwaiting})), engine.LaneState{}, "user=ana", "awaiting_confirmation: confirm.within"},
		"was live":                             {phone, toAna, end(storage.Result{State: diaphone.Suppressed, Reason: diaphone.ReasonTakenLive}), engine.LaneState{}, "user=ana", "taken_live: when: always"},
		"the lane is paused":                   {phone, toAna, nil, engine.LaneState{Paused: true, Reason: "PERMISSION_DENIED", ProbeAt: time.Now()}, "user=ana", "lane_paused: apps file"},
		"the lane mistrusts the tokens":        {phone, toAna, nil, engine.LaneState{Paused: true, Mistrust: true}, "device=d1", "lane_mistrusted: sandbox"},
		"the lane is slowed":                   {phone, toAna, nil, engine.LaneState{SlowUntil: time.Now().Add(time.Hour)}, "device=d1", "lane_slowed: rate"},
		"the credential is gone":               {phone, toAna, nil, engine.LaneState{Undeclared: true, Paused: true}, "device=d1", "lane_undeclared: Declare"},
		"no token":                             {`{"platform":"ios","user_id":"ana"}`, toAna, nil, engine.LaneState{}, "user=ana", "no_token: allowed notifications"},
		"a call to an iPhone without PushKit":  {`{"platform":"ios","user_id":"ana","tokens":[{"kind":"apns","value":"ab"}]}`, `{"to":{"users":["ana"]},"notification":{"mode":"voip","data":{"a":"b"}}}`, nil, engine.LaneState{}, "user=ana", "no_voip_token: apns-voip"},
		"another environment":                  {`{"platform":"ios","user_id":"ana","tokens":[{"kind":"apns","value":"ab","environment":"production"}]}`, toAna, nil, engine.LaneState{}, "user=ana", "no_credential: environment"},
		"a user without devices":               {phone, `{"to":{"users":["ben"]},"notification":{"title":"x"}}`, nil, engine.LaneState{}, "user=ben", "no_devices: registers its token"},
		"for others":                           {phone, `{"to":{"users":["ben"]},"notification":{"title":"x"}}`, nil, engine.LaneState{}, "user=ana", "not_in_audience: letter by letter"},
		"for others, without devices":          {phone, toAna, nil, engine.LaneState{}, "user=ben", "not_in_audience: "},
		"an event only":                        {phone, `{"to":{"users":["ana"]},"event":{"name":"e"},"send_at":"SOON"}`, nil, engine.LaneState{}, "user=ana", "message_scheduled: "},
		"scheduled":                            {phone, `{"to":{"users":["ana"]},"notification":{"title":"x"},"send_at":"SOON"}`, nil, engine.LaneState{}, "user=ana", "message_scheduled: cancel"},
		"scheduled, for a user without device": {phone, `{"to":{"users":["ben"]},"notification":{"title":"x"},"send_at":"SOON"}`, nil, engine.LaneState{}, "user=ben", "message_scheduled: cancel"},
		"cancelled before its time":            {phone, `{"to":{"users":["ana"]},"notification":{"title":"x"},"send_at":"SOON"}`, call("POST", "/v1/messages/MESSAGE/cancel", "", 200), engine.LaneState{}, "user=ana", "message_unsent: "},
		"registered afterwards":                {phone, toAna, call("PUT", "/v1/devices/d2", phone2, 201), engine.LaneState{}, "device=d2", "registered_after: "},
		"one of two registered afterwards":     {phone, toAna, call("PUT", "/v1/devices/d2", phone2, 201), engine.LaneState{}, "user=ana", "differs_by_device: one by one"},
		"bound afterwards":                     {strings.Replace(phone, "ana", "ben", 1), toAna, call("PUT", "/v1/devices/d1", phone, 200), engine.LaneState{}, "user=ana", "joined_after: "},
		"deleted, without a trace":             {phone, `{"to":{"users":["ben"]},"notification":{"title":"x"}}`, call("DELETE", "/v1/devices/d1", "", 204), engine.LaneState{}, "device=d1", "device_unknown: registers"},
		"deleted since":                        {phone, toAna, gone, engine.LaneState{}, "device=d1", "device_deleted: opened once"},
	} {
		t.Run(name, func(t *testing.T) {
			s := apitest.Start(t, apitest.Options{Lane: c.lane})
			must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", c.before), 201)
			id := publish(t, s, strings.Replace(c.body, "SOON", time.Now().Add(time.Hour).UTC().Format(time.RFC3339), 1))
			if c.do != nil {
				c.do(t, s, id)
			}
			x := explain(t, s, id, c.of)
			code, do, _ := strings.Cut(c.want, ": ")
			if x.Because.Code != code || !strings.Contains(x.Because.Do, do) {
				t.Errorf("%+v, want %s", x.Because, c.want)
			}
			if x.Message == nil || x.Message.ID != id || x.HistoryKept != 7*24*3600 || (x.Live == nil) != (len(x.Devices) == 1 && x.Devices[0].Device == nil) {
				t.Errorf("%+v", x)
			}
			for _, d := range x.Devices {
				if d.Because.Means == "" {
					t.Errorf("%s: %s has no sentence", d.DeviceID, d.Because.Code)
				}
				if d.Delivery != nil && d.Delivery.State == diaphone.Pending && d.Lane == nil {
					t.Errorf("%s waits, and nothing is said of its lane", d.DeviceID)
				}
			}
			for _, w := range x.Words {
				if w.Code == "" || w.Means == "" {
					t.Errorf("word %+v", w)
				}
			}
		})
	}
}

const phone2 = `{"platform":"android","user_id":"ana","tokens":[{"kind":"fcm","value":"another-token"}]}`

func end(r storage.Result) func(*testing.T, *apitest.Server, diaphone.MessageID) {
	return func(t *testing.T, s *apitest.Server, _ diaphone.MessageID) { settleAll(t, s, "google", r) }
}

func call(method, path, body string, status int) func(*testing.T, *apitest.Server, diaphone.MessageID) {
	return func(t *testing.T, s *apitest.Server, id diaphone.MessageID) {
		must(t, s.Do(apitest.Token1, method, strings.Replace(path, "MESSAGE", string(id), 1), body), status)
	}
}

// reports has the phone say so, after the provider took the message.
func reports(kinds ...diaphone.ReceiptKind) func(*testing.T, *apitest.Server, diaphone.MessageID) {
	return func(t *testing.T, s *apitest.Server, id diaphone.MessageID) {
		settleAll(t, s, "google", attempted(diaphone.Delivered, diaphone.Accepted, 200, ""))
		for _, kind := range kinds {
			if _, err := s.Store.Report(context.Background(), "1", "d1", []diaphone.Receipt{{Message: id, Kind: kind, At: time.Now()}}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func gone(t *testing.T, s *apitest.Server, _ diaphone.MessageID) {
	must(t, s.Do(apitest.Token1, "DELETE", "/v1/devices/d1", ""), 204)
	settleAll(t, s, "google", storage.Result{State: diaphone.Cancelled, Reason: diaphone.ReasonDeviceDeleted})
}

// A message that is unknown, of another app, or no id at all, is an answer.
func TestExplainUnknownMessage(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	id := publish(t, s, `{"to":{"users":["ana"]},"notification":{"title":"x"}}`)
	for _, of := range []diaphone.MessageID{"msg_06f3k9q2v8c7h0a1b2c3d4e5f6", "nonsense", "%00%ff"} {
		x := explain(t, s, of, "user=ana")
		if x.Because.Code != gateway.AnswerUnknownMessage || x.Message != nil || x.HistoryKept == 0 {
			t.Errorf("%s: %+v", of, x)
		}
	}
	var x wire.Explanation
	s.Do(apitest.Token2, "GET", "/v1/explain?user=ana&message="+string(id), "").JSON(t, &x)
	if x.Because.Code != gateway.AnswerUnknownMessage {
		t.Errorf("another app learns %+v", x)
	}
	for _, q := range []string{"", "?message=m", "?user=ana", "?message=m&user=ana&device=d", "?message=&user=ana", "?message=m&user=", "?message=m&user=ana&more=1"} {
		must(t, s.Do(apitest.Token1, "GET", "/v1/explain"+q, ""), 422)
	}
}

// No token leaves with an explanation, and who has many devices gets a bounded one.
func TestExplainIsBoundedAndDiscreet(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	for i := range gateway.MaxExplained + 3 {
		must(t, s.Do(apitest.Token1, "PUT", fmt.Sprintf("/v1/devices/d%d", i), fmt.Sprintf(`{"platform":"android","user_id":"ana","tokens":[{"kind":"fcm","value":"canary-%d"}]}`, i)), 201)
	}
	id := publish(t, s, `{"to":{"users":["ana"]},"notification":{"title":"x"}}`)
	a := s.Do(apitest.Token1, "GET", "/v1/explain?user=ana&message="+string(id), "")
	var x wire.Explanation
	a.JSON(t, &x)
	if len(x.Devices) != gateway.MaxExplained || !x.MoreDevices || strings.Contains(string(a.Body), "canary-") {
		t.Errorf("%d devices, more %t, %.200s", len(x.Devices), x.MoreDevices, a.Body)
	}
	if d := x.Devices[0].Device; d == nil || len(d.Tokens) != 1 || d.Tokens[0].Fingerprint == "" || d.Tokens[0].RegisteredAt.IsZero() {
		t.Errorf("%+v", d)
	}
}

// What is remembered of a live user is told with its proof.
func TestExplainLive(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const both = `{"to":{"users":["ana"]},"when":"WHEN","event":{"name":"e"},"notification":{"title":"x"}}`
	x := explain(t, s, publish(t, s, strings.Replace(both, "WHEN", "always", 1)), "user=ana")
	if x.Live == nil || x.Live.Because.Code != gateway.AnswerLiveNotAsked || x.Live.By != "" {
		t.Errorf("%+v", x.Live)
	}
	x = explain(t, s, publish(t, s, strings.Replace(both, "WHEN", "away", 1)), "user=ana")
	if x.Live == nil || x.Live.Because.Code != gateway.AnswerLiveForgotten {
		t.Errorf("%+v", x.Live)
	}
}
