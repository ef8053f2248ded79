package apns

import (
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

// sheet is Apple's "Handling notification responses from APNs", written down a
// second time, from the page and not from the table under test.
var sheet = []struct {
	status  int
	reason  string
	verdict diaphone.Verdict
	lane    bool
}{
	{400, "BadCollapseId", diaphone.Refused, false},
	{400, "BadDeviceToken", diaphone.Suspect, false},
	{400, "BadExpirationDate", diaphone.Refused, false},
	{400, "BadMessageId", diaphone.Refused, false},
	{400, "BadPriority", diaphone.Refused, false},
	{400, "BadTopic", diaphone.Refused, false},
	{400, "DeviceTokenNotForTopic", diaphone.Suspect, false},
	{400, "DuplicateHeaders", diaphone.Refused, false},
	{400, "IdleTimeout", diaphone.Retry, false},
	{400, "InvalidPushType", diaphone.Refused, false},
	{400, "MissingDeviceToken", diaphone.Refused, false},
	{400, "MissingTopic", diaphone.Refused, false},
	{400, "PayloadEmpty", diaphone.Refused, false},
	{400, "TopicDisallowed", diaphone.Denied, false},
	{403, "BadCertificate", diaphone.Denied, false},
	{403, "BadCertificateEnvironment", diaphone.Denied, false},
	{403, "BadEnvironmentKeyIdInToken", diaphone.Denied, false},
	{403, "BadEnvironmentKeyInToken", diaphone.Denied, false},
	{403, "ExpiredProviderToken", diaphone.Retry, false}, // the second time in a row: Denied, see TestExpiredProviderToken
	{403, "Forbidden", diaphone.Denied, false},
	{403, "InvalidProviderToken", diaphone.Denied, false},
	{403, "MissingProviderToken", diaphone.Denied, false},
	{403, "UnrelatedKeyIdInToken", diaphone.Denied, false},
	{404, "BadPath", diaphone.Refused, false},
	{405, "MethodNotAllowed", diaphone.Refused, false},
	{410, "ExpiredToken", diaphone.Gone, false},
	{410, "Unregistered", diaphone.Gone, false},
	{413, "PayloadTooLarge", diaphone.Refused, false},
	{429, "TooManyProviderTokenUpdates", diaphone.Throttled, true},
	{429, "TooManyRequests", diaphone.Throttled, false},
	{500, "InternalServerError", diaphone.Retry, false},
	{503, "ServiceUnavailable", diaphone.Retry, false},
	{503, "Shutdown", diaphone.Retry, false},
}

func TestEveryWordOfAPNs(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	for _, row := range sheet {
		t.Run(fmt.Sprint(row.status, row.reason), func(t *testing.T) {
			p := open(t, lab.config(t))
			lab.Faults(providertest.Fault{Provider: "apns", Status: row.status, Reason: row.reason, RetryAfter: 7, Count: 1})
			before := lab.Stats("apns").Requests
			d := providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token)
			o := p.Send(providertest.Bounded(t), d)
			if o.Verdict != row.verdict || o.Status != row.status || o.Reason != row.reason || o.Lane != row.lane {
				t.Errorf("outcome %+v", o)
			}
			if o.RetryAfter != 7*time.Second || o.Err == nil || o.ProviderID != d.ID {
				t.Errorf("retry after %v, error %v, apns-id %q", o.RetryAfter, o.Err, o.ProviderID)
			}
			if gone := o.Verdict == diaphone.Gone; gone == o.GoneSince.IsZero() {
				t.Errorf("gone since %v", o.GoneSince)
			}
			if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
				t.Errorf("afterwards: %+v", o)
			}
			if n := lab.Stats("apns").Requests - before; n != 2 {
				t.Errorf("%d requests for 2 attempts", n)
			}
		})
	}
}

// TestTheSheetIsTheTable: nothing stands in the table that the sheet does not
// have, but for the two words without a reason.
func TestTheSheetIsTheTable(t *testing.T) {
	known := map[word]bool{{200, ""}: true, {429, ""}: true}
	for _, row := range sheet {
		w := word{row.status, row.reason}
		known[w] = true
		if _, ok := rules[w]; !ok {
			t.Errorf("%v is missing from the table", w)
		}
	}
	for w, r := range rules {
		if !known[w] {
			t.Errorf("%v is not in the sheet", w)
		}
		if r.verdict == diaphone.Gone && w.status != 410 {
			t.Errorf("%v buries a token", w)
		}
	}
}

func TestWordsNobodyDocuments(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   diaphone.Verdict
	}{
		{400, `{"reason":"NewIn2031"}`, diaphone.Unknown},
		{403, `{"reason":"NewIn2031"}`, diaphone.Unknown},
		{410, `{"reason":"NewIn2031","timestamp":1}`, diaphone.Unknown},
		{410, `gone`, diaphone.Unknown},
		{400, `{"reason":"Unregistered","timestamp":1}`, diaphone.Unknown}, // the word with another status
		{200, `{"reason":"Unregistered"}`, diaphone.Accepted},
		{500, `{"reason":"Unregistered"}`, diaphone.Retry},
		{502, `<html>`, diaphone.Retry},
		{429, ``, diaphone.Throttled},
		{204, ``, diaphone.Unknown},
		{302, ``, diaphone.Unknown},
	} {
		r := read(exchange.Answer{Status: c.status, Body: []byte(c.body)})
		if r.verdict != c.want || !r.goneSince.IsZero() {
			t.Errorf("%d %s: %v, gone since %v; want %v", c.status, c.body, r.verdict, r.goneSince, c.want)
		}
	}
}

func TestGoneSinceHasMilliseconds(t *testing.T) {
	r := read(exchange.Answer{Status: 410, Body: []byte(`{"reason":"Unregistered","timestamp":1700000000123}`)})
	if r.verdict != diaphone.Gone || r.goneSince.UnixMilli() != 1700000000123 {
		t.Errorf("%+v", r)
	}
}

// TestPhonesAndKeysAsTheyAre has the simulator find the faults by itself.
func TestPhonesAndKeysAsTheyAre(t *testing.T) {
	lab := newLab(t, sim.Options{})
	ana, other := lab.Device("ana", "ios"), lab.config(t)
	lab.Device("gone", "ios")
	send := func(c Config, token string) diaphone.Outcome {
		return open(t, c).Send(providertest.Bounded(t), providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token))
	}

	gone := lab.Device("left", "ios")
	lab.Move("left", "uninstalled")
	if o := send(lab.config(t), gone); o.Verdict != diaphone.Gone || time.Since(o.GoneSince).Abs() > providertest.Bound {
		t.Errorf("an uninstalled app: %+v", o)
	}
	if o := send(lab.config(t), "00ff"); o.Verdict != diaphone.Suspect || o.Reason != "BadDeviceToken" {
		t.Errorf("an invented token: %+v", o)
	}
	other.KeyPEM = diaphone.Secret(newKey(t))
	if o := send(other, ana); o.Verdict != diaphone.Denied || o.Reason != "InvalidProviderToken" {
		t.Errorf("another key: %+v", o)
	}
	other = lab.config(t)
	other.Topic = "com.example.other"
	if o := send(other, ana); o.Verdict != diaphone.Denied || o.Reason != "TopicDisallowed" {
		t.Errorf("another app's topic: %+v", o)
	}
	if o := send(lab.config(t), ana); o.Verdict != diaphone.Accepted {
		t.Errorf("and as it should be: %+v", o)
	}
}

func TestExpiredProviderToken(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, lab.Device("ana", "ios"))
	expired := providertest.Fault{Provider: "apns", Status: 403, Reason: "ExpiredProviderToken", Count: 1}

	lab.Faults(expired)
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Retry || o.RetryAfter != time.Second {
		t.Fatalf("the first time: %+v", o)
	}
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
		t.Fatalf("with the new token: %+v", o)
	}
	lab.Faults(expired)
	for { // until a connection with the new token has it
		o := p.Send(providertest.Bounded(t), d)
		if o.Verdict == diaphone.Denied {
			break
		}
		if o.Verdict != diaphone.Retry {
			t.Fatalf("the second time: %+v", o)
		}
		lab.Faults(expired)
	}
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
		t.Errorf("when Apple is content again: %+v", o)
	}
}
