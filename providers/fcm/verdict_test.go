package fcm

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"firebase.google.com/go/v4/messaging"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

// sheet is what Google's pages say of every answer, written down a second time,
// from the pages and not from the table under test. after is without a
// Retry-After header.
var sheet = []struct {
	status  int
	code    string
	verdict diaphone.Verdict
	lane    bool
	after   time.Duration
}{
	{400, "INVALID_ARGUMENT", diaphone.Refused, false, 0},
	{401, "THIRD_PARTY_AUTH_ERROR", diaphone.Retry, false, thirdPartyPause},
	{401, "UNAUTHENTICATED", diaphone.Retry, false, time.Second}, // the second time in a row: Denied, see TestUnauthenticated
	{403, "PERMISSION_DENIED", diaphone.Denied, false, 0},
	{403, "SENDER_ID_MISMATCH", diaphone.Suspect, false, 0},
	{404, "NOT_FOUND", diaphone.Denied, false, 0},
	{404, "UNREGISTERED", diaphone.Gone, false, 0},
	{429, "QUOTA_EXCEEDED", diaphone.Throttled, true, time.Minute},
	{500, "INTERNAL", diaphone.Retry, false, 10 * time.Second},
	{502, "", diaphone.Retry, false, 0},
	{503, "UNAVAILABLE", diaphone.Retry, false, 10 * time.Second},
	{504, "DEADLINE_EXCEEDED", diaphone.Retry, false, 0},
}

func TestEveryWordOfFCM(t *testing.T) {
	lab := newLab(t, sim.Options{})
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenFCM, lab.Device("ana", "android"))
	for _, row := range sheet {
		t.Run(fmt.Sprint(row.status, row.code), func(t *testing.T) {
			p := open(t, lab.config(t))
			before := lab.Stats("fcm").Requests
			fault := providertest.Fault{Provider: "fcm", Status: row.status, Reason: row.code, Count: 1}
			for _, seconds := range []int{0, 7} {
				fault.RetryAfter = seconds
				lab.Faults(fault)
				o := p.Send(providertest.Bounded(t), d)
				if o.Verdict != row.verdict || o.Status != row.status || o.Reason != row.code || o.Lane != row.lane || o.Err == nil {
					t.Errorf("outcome %+v", o)
				}
				after := row.after
				if seconds > 0 {
					after = time.Duration(seconds) * time.Second
				}
				if o.RetryAfter != after {
					t.Errorf("retry after %v, want %v", o.RetryAfter, after)
				}
				if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
					t.Errorf("afterwards: %+v", o)
				}
			}
			if n := lab.Stats("fcm").Requests - before; n != 4 {
				t.Errorf("%d requests for 4 attempts", n)
			}
		})
	}
}

// TestNothingElseBuries: in the whole table one word means Gone.
func TestNothingElseBuries(t *testing.T) {
	for w, r := range rules {
		if r.verdict == diaphone.Gone && (w != word{status: 404, code: "UNREGISTERED", fcm: true}) {
			t.Errorf("%+v buries a token", w)
		}
	}
}

const typed = `{"error":{"status":%q,"message":%q,"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":%q}%s]}}`

func TestWordsInTheirDetails(t *testing.T) {
	field := func(name string) string {
		return fmt.Sprintf(`,{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":%q,"description":"x"}]}`, name)
	}
	quota := `,{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"subject":%q,"description":"x"}]}`
	for i, c := range []struct {
		status int
		body   string
		want   diaphone.Verdict
		lane   bool
	}{
		{400, fmt.Sprintf(typed, "INVALID_ARGUMENT", "x", "INVALID_ARGUMENT", field("message.token")), diaphone.Suspect, false},
		{400, fmt.Sprintf(typed, "INVALID_ARGUMENT", "x", "INVALID_ARGUMENT", field("message.data")), diaphone.Refused, false},
		{400, `{"error":{"status":"INVALID_ARGUMENT","details":[` + field("message.token")[1:] + `]}}`, diaphone.Suspect, false},
		{400, `{"error":{"status":"INVALID_ARGUMENT"}}`, diaphone.Refused, false},
		{400, fmt.Sprintf(typed, "X", "x", "NEW_IN_THE_FUTURE", ""), diaphone.Unknown, false},
		{404, fmt.Sprintf(typed, "X", "x", "NEW_IN_THE_FUTURE", ""), diaphone.Unknown, false},
		{404, `{"error":{"status":"UNREGISTERED"}}`, diaphone.Denied, false}, // not FCM's own word
		{400, fmt.Sprintf(typed, "X", "x", "UNREGISTERED", ""), diaphone.Unknown, false},
		{404, `<html>`, diaphone.Denied, false},
		{429, fmt.Sprintf(typed, "RESOURCE_EXHAUSTED", "Quota exceeded for messages per minute per project", "QUOTA_EXCEEDED", ""), diaphone.Throttled, true},
		{429, fmt.Sprintf(typed, "RESOURCE_EXHAUSTED", "Device message rate exceeded", "QUOTA_EXCEEDED", ""), diaphone.Throttled, false},
		{429, fmt.Sprintf(typed, "RESOURCE_EXHAUSTED", "x", "QUOTA_EXCEEDED", fmt.Sprintf(quota, "device:1")), diaphone.Throttled, false},
		{429, `{"error":{"status":"RESOURCE_EXHAUSTED"}}`, diaphone.Throttled, true},
		{429, ``, diaphone.Throttled, true},
		{401, ``, diaphone.Retry, false},
		{401, fmt.Sprintf(typed, "UNAUTHENTICATED", "x", "APNS_AUTH_ERROR", ""), diaphone.Denied, false},
		{403, ``, diaphone.Unknown, false},
		{418, ``, diaphone.Unknown, false},
		{599, ``, diaphone.Retry, false},
	} {
		o, _ := outcomeOf(exchange.Answer{Status: c.status, Body: []byte(c.body), Header: http.Header{}}, time.Now())
		if o.Verdict != c.want || o.Lane != c.lane {
			t.Errorf("case %d: %d %s: %+v, want %v", i, c.status, c.body, o, c.want)
		}
	}
}

// TestPhonesAndAccountsAsTheyAre has the simulator find the faults by itself.
func TestPhonesAndAccountsAsTheyAre(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	send := func(p *Provider, token string) diaphone.Outcome {
		return p.Send(providertest.Bounded(t), providertest.Delivery(providertest.Hello(), diaphone.TokenFCM, token))
	}
	ana, left := lab.Device("ana", "android"), lab.Device("left", "android")
	lab.Move("left", "uninstalled")
	if o := send(p, left); o.Verdict != diaphone.Gone || o.Reason != "UNREGISTERED" {
		t.Errorf("an uninstalled app: %+v", o)
	}
	if o := send(p, "not-a-token"); o.Verdict != diaphone.Suspect || o.Reason != "INVALID_ARGUMENT" {
		t.Errorf("an invented token: %+v", o)
	}
	// An account that the token endpoint does not know: its key is another.
	stranger := open(t, Config{ServiceAccount: accountFor("http://" + lab.Addr + "/token"), Endpoint: "http://" + lab.Addr + "/v1"})
	before := lab.Stats("fcm").Requests
	if o := send(stranger, ana); o.Verdict != diaphone.Denied || o.Reason == "" {
		t.Errorf("another account: %+v", o)
	}
	if n := lab.Stats("fcm").Requests - before; n != 0 {
		t.Errorf("%d messages were sent without a token", n)
	}
	if o := send(p, ana); o.Verdict != diaphone.Accepted {
		t.Errorf("and as it should be: %+v", o)
	}
}

func TestUnauthenticated(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenFCM, lab.Device("ana", "android"))
	refuse := func() {
		lab.Faults(providertest.Fault{Provider: "fcm", Status: 401, Reason: "UNAUTHENTICATED", Count: 1})
	}
	for i, want := range []diaphone.Verdict{diaphone.Retry, diaphone.Denied, diaphone.Denied} {
		refuse()
		if o := p.Send(providertest.Bounded(t), d); o.Verdict != want {
			t.Errorf("refused %d times in a row: %+v", i+1, o)
		}
	}
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
		t.Errorf("when Google is content again: %+v", o)
	}
	refuse()
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Retry {
		t.Errorf("once more, after a success: %+v", o)
	}
}

// TestTheSDKNeverRepeats counts what arrives; the SDK would repeat a 503 and a
// cut connection at once and four times in all.
func TestTheSDKNeverRepeats(t *testing.T) {
	lab := newLab(t, sim.Options{})
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenFCM, lab.Device("ana", "android"))
	p := open(t, lab.config(t))
	for _, status := range []int{500, 502, 503, 504} {
		lab.Faults(providertest.Fault{Provider: "fcm", Status: status})
		before, begun := lab.Stats("fcm").Requests, time.Now()
		o := p.Send(providertest.Bounded(t), d)
		if n := lab.Stats("fcm").Requests - before; n != 1 || o.Verdict != diaphone.Retry || o.Status != status {
			t.Errorf("status %d: %d requests, %+v", status, n, o)
		}
		if took := time.Since(begun); took > 5*time.Second { // the SDK would have slept seven
			t.Errorf("status %d took %v", status, took)
		}
	}

	v := providertest.NewVendor(t, false)
	v.Answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	cut := open(t, Config{ServiceAccount: accountFor(v.URL + "/token"), Endpoint: v.URL + "/v1"})
	if o := cut.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Retry || o.Status != 0 {
		t.Errorf("cut: %+v", o)
	}
	if n := v.Pushes(); n != 1 {
		t.Errorf("cut: %d requests", n)
	}
}

// TestTheSDKWouldRepeat is the control: on a client without our RoundTripper a
// single 503 is hidden and the message sent twice.
func TestTheSDKWouldRepeat(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "android")
	a, err := (&Config{ServiceAccount: lab.read(t, lab.cred.ServiceAccountFile), Endpoint: "http://" + lab.Addr}).parse()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	access, err := fetcher(a, transport)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Client{Transport: authorized{transport, access.AccessToken}}
	client, err := newClient(t.Context(), a.ProjectID, clientOptions("http://"+lab.Addr+"/v1", plain)...)
	if err != nil {
		t.Fatal(err)
	}
	lab.Faults(providertest.Fault{Provider: "fcm", Status: 503, Count: 1})
	if _, err := client.Send(t.Context(), &messaging.Message{Token: token}); err != nil {
		t.Fatal(err)
	}
	if n := lab.Stats("fcm").Requests; n != 2 {
		t.Errorf("%d requests: has the SDK stopped repeating?", n)
	}
}

// authorized adds the token and does nothing else.
type authorized struct {
	base  http.RoundTripper
	token string
}

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.token)
	return a.base.RoundTrip(r)
}

// TestASecondRequestIsRefused: should a newer SDK find another reason to repeat.
func TestASecondRequestIsRefused(t *testing.T) {
	a := &attempt{begun: true}
	r, err := http.NewRequestWithContext(withAttempt(t.Context(), a), http.MethodPost, "http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&roundTripper{}).RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusInternalServerError || !errors.Is(a.err, errTwice) {
		t.Errorf("%v, %v, %v", res, err, a.err)
	}
	_ = res.Body.Close()
}
