package sim_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone/sim"
)

// TestAPNsReasons provokes every reason by a fault.
func TestAPNsReasons(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	for status, reasons := range map[int]string{
		400: "BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic DeviceTokenNotForTopic DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed",
		403: "BadCertificate BadCertificateEnvironment ExpiredProviderToken Forbidden InvalidProviderToken MissingProviderToken UnrelatedKeyIdInToken BadEnvironmentKeyIdInToken BadEnvironmentKeyInToken",
		404: "BadPath",
		405: "MethodNotAllowed",
		410: "ExpiredToken Unregistered",
		413: "PayloadTooLarge",
		429: "TooManyProviderTokenUpdates TooManyRequests",
		500: "InternalServerError",
		503: "ServiceUnavailable Shutdown",
	} {
		for reason := range strings.FieldsSeq(reasons) {
			for _, fault := range []string{
				fmt.Sprintf(`{"provider":"apns","reason":%q}`, reason),
				fmt.Sprintf(`{"provider":"apns","status":%d,"reason":%q}`, status, reason),
			} {
				b.faults(fault)
				got := b.push(ana.Token, hello)
				if got.status != status || got.Reason != reason || (got.Timestamp > 0) != (status == 410) {
					t.Errorf("%s: got %+v", fault, got)
				}
			}
		}
	}
	if got := len(b.inbox("")); got != 0 {
		t.Errorf("%d refused pushes arrived", got)
	}
}

func TestFCMReasons(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "android")
	bearer := "Bearer " + b.access()
	body := fmt.Sprintf(`{"message":{"token":%q}}`, ana.Token)
	for _, test := range []struct {
		fault         string
		status        int
		canonical     string
		errorCode     string
		authChallenge bool
	}{
		{`"reason":"INVALID_ARGUMENT"`, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", false},
		{`"reason":"UNAUTHENTICATED"`, 401, "UNAUTHENTICATED", "", true},
		{`"reason":"THIRD_PARTY_AUTH_ERROR"`, 401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", false},
		{`"reason":"PERMISSION_DENIED"`, 403, "PERMISSION_DENIED", "", false},
		{`"reason":"SENDER_ID_MISMATCH"`, 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", false},
		{`"reason":"UNREGISTERED"`, 404, "NOT_FOUND", "UNREGISTERED", false},
		{`"reason":"NOT_FOUND"`, 404, "NOT_FOUND", "", false},
		{`"reason":"QUOTA_EXCEEDED"`, 429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", false},
		{`"reason":"INTERNAL"`, 500, "INTERNAL", "INTERNAL", false},
		{`"status":502`, 502, "", "", false},
		{`"status":503`, 503, "UNAVAILABLE", "UNAVAILABLE", false},
		{`"status":504`, 504, "DEADLINE_EXCEEDED", "", false},
	} {
		b.faults(`{"provider":"fcm","retry_after":7,` + test.fault + `}`)
		got := b.fcm("diaphone-sim", bearer, body)
		if got.status != test.status || got.Error.Status != test.canonical || got.errorCode() != test.errorCode ||
			(got.header.Get("WWW-Authenticate") != "") != test.authChallenge || got.header.Get("Retry-After") != "7" {
			t.Errorf("%s: got %+v", test.fault, got)
		}
		if got.status != 502 && got.Error.Code != got.status {
			t.Errorf("%s: the body has code %d", test.fault, got.Error.Code)
		}
	}
}

// TestFaultCounts: three times unavailable, then as usual, and only for one
// phone.
func TestFaultCounts(t *testing.T) {
	b := start(t, sim.Options{})
	ana, bob := b.add("ana", "ios"), b.add("bob", "ios")
	b.faults(`[{"provider":"apns","status":503,"retry_after":2,"count":3,"device":"ana"},{"provider":"fcm","status":500}]`)
	for i := range 5 {
		got := b.push(ana.Token, hello)
		if i < 3 && (got.status != 503 || got.Reason != "ServiceUnavailable" || got.header.Get("Retry-After") != "2") || i >= 3 && got.status != 200 {
			t.Errorf("attempt %d: %+v", i+1, got)
		}
		if got := b.push(bob.Token, hello); got.status != 200 {
			t.Errorf("the other phone: %+v", got)
		}
	}
	var plan struct {
		Data []struct {
			Provider string
			Count    int
			Hits     int
		}
	}
	b.ok(&plan, "GET", "/sim/faults", "")
	if len(plan.Data) != 2 || plan.Data[0].Hits != 3 || plan.Data[1].Hits != 0 {
		t.Errorf("plan: %+v", plan)
	}
	stats := b.stats()["apns"]
	if stats.Requests != 10 || stats.Accepted != 7 || stats.Refused != 3 || stats.ByReason["ServiceUnavailable"] != 3 {
		t.Errorf("statistics: %+v", stats)
	}
	b.ok(nil, "DELETE", "/sim/faults", "")
	b.ok(&plan, "GET", "/sim/faults", "")
	if len(plan.Data) != 0 {
		t.Errorf("after DELETE: %+v", plan)
	}
}

// TestLatency: latencies add up and leave the answer as it is.
func TestLatency(t *testing.T) {
	b := start(t, sim.Options{})
	ana, bob := b.add("ana", "ios"), b.add("bob", "android")
	bearer := "Bearer " + b.access()
	b.faults(`[{"provider":"apns","latency_ms":100},{"provider":"apns","latency_ms":50,"status":500,"count":1},{"provider":"fcm","latency_ms":100}]`)
	for _, test := range []struct {
		send   func() int
		status int
		least  time.Duration
	}{
		{func() int { return b.push(ana.Token, hello).status }, 500, 150 * time.Millisecond},
		{func() int { return b.push(ana.Token, hello).status }, 200, 100 * time.Millisecond},
		{func() int {
			return b.fcm("diaphone-sim", bearer, fmt.Sprintf(`{"message":{"token":%q}}`, bob.Token)).status
		}, 200, 100 * time.Millisecond},
	} {
		begin := time.Now()
		if got := test.send(); got != test.status || time.Since(begin) < test.least {
			t.Errorf("got %d after %v, want %d after %v", got, time.Since(begin), test.status, test.least)
		}
	}
}

// TestHang: no answer comes, and the simulator still stops.
func TestHang(t *testing.T) {
	b := start(t, sim.Options{})
	ana, bob := b.add("ana", "ios"), b.add("bob", "android")
	b.faults(`[{"provider":"apns","reason":"hang"},{"provider":"fcm","reason":"hang"}]`)
	for name, send := range map[string]func(*http.Client) error{
		"apns": func(c *http.Client) error {
			_, err := c.Post("https://"+b.addr+"/3/device/"+ana.Token, "", strings.NewReader(hello))
			return err
		},
		"fcm": func(c *http.Client) error {
			_, err := c.Post("https://"+b.addr+"/v1/projects/diaphone-sim/messages:send", "", strings.NewReader(fmt.Sprintf(`{"message":{"token":%q}}`, bob.Token)))
			return err
		},
	} {
		config := b.tlsConfig()
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: name == "apns"}
		err := send(&http.Client{Transport: transport, Timeout: 200 * time.Millisecond})
		transport.CloseIdleConnections()
		var timeout *url.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := b.dial()
	w.push(b, ana.Token)
	until(w, func(f *http2.SettingsFrame) bool { n, _ := streamLimit(f); return n == 1000 }) // it has arrived
	b.stop()
	if got := until2[*http2.GoAwayFrame](w); got.ErrCode != http2.ErrCodeNo {
		t.Errorf("got %v", got)
	}
}

func TestRefuseAndOwnBody(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	b.faults(`{"provider":"apns","reason":"refuse","count":1}`)
	w := b.dial()
	id := w.push(b, ana.Token)
	if got := until2[*http2.RSTStreamFrame](w); got.StreamID != id || got.ErrCode != http2.ErrCodeRefusedStream {
		t.Errorf("got %v", got)
	}
	b.faults(`{"provider":"apns","status":418,"body":"{\"reason\":\"Teapot\"}"}`)
	if got := b.push(ana.Token, hello); got.status != 418 || got.Reason != "Teapot" {
		t.Errorf("got %+v", got)
	}
}

// TestBadFaults: a plan that makes no sense is refused, and the present one stays.
func TestBadFaults(t *testing.T) {
	b := start(t, sim.Options{})
	b.faults(`{"provider":"apns","status":500}`)
	for body, text := range map[string]string{
		`{"provider":"apns","status":503,"reason":"BadDeviceToken"}`:   `reason: "BadDeviceToken" does not come with status 503 of APNs; that has ServiceUnavailable, Shutdown`,
		`{"provider":"apns","reason":"Nonsense"}`:                      `reason: APNs knows no "Nonsense"; to answer it all the same give a status and a body`,
		`{"provider":"apns","status":418}`:                             `status: APNs never answers 418; to answer it all the same give a body`,
		`{"provider":"apns","status":500,"reason":"hang"}`:             `status: leave it out, since "hang" is no answer`,
		`{"provider":"fcm","reason":"goaway"}`:                         `reason: "goaway" is nothing that FCM does; it has hang`,
		`{"provider":"fcm","goaway_every":3}`:                          `goaway_every: FCM has no GOAWAY of its own`,
		`{"provider":"fcm","reason":"BadDeviceToken"}`:                 `reason: FCM knows no "BadDeviceToken"; to answer it all the same give a status and a body`,
		`{"provider":"hms","status":500}`:                              `provider: must be "apns", "fcm" or "webpush", not "hms"`,
		`{"provider":"apns"}`:                                          `a fault needs a status, a reason, a latency_ms or goaway_every`,
		`{"provider":"apns","status":500,"count":-1}`:                  `count: must be 0 (until deleted) or more`,
		`{"provider":"apns","latency_ms":-1}`:                          `latency_ms: must be between 0 and 600000`,
		`{"provider":"apns","status":"500"}`:                           `status: must be a whole number, not string`,
		`{"provider":"apns","stats":500}`:                              `stats: there is no such field; use provider, status, reason, body, retry_after, latency_ms, goaway_every, count, device`,
		`[{"provider":"apns","status":500},{"provider":"fcm"}]`:        `a fault needs a status, a reason, a latency_ms or goaway_every`,
		`{"provider":"apns","status":500}{}`:                           `the body has something after its JSON value`,
		``:                                                             `the body is empty; send a JSON object`,
		`"x"`:                                                          `the body must be an object, not string`,
		"{\"provider\":\"\xff\"}":                                      `the body is not valid UTF-8`,
		`[` + strings.Repeat(`{"provider":"apns","status":500},`, 4e4): `the body is larger than 1048576 bytes; send it in parts`,
	} {
		status, got := b.do("PUT", "/sim/faults", body)
		if want := fmt.Sprintf(`{"error":%q}`+"\n", text); got != want || status/100 != 4 {
			t.Errorf("%.60s\ngot  %d %swant %s", body, status, got, want)
		}
	}
	var plan struct{ Data []struct{ Status int } }
	b.ok(&plan, "GET", "/sim/faults", "")
	if len(plan.Data) != 1 || plan.Data[0].Status != 500 {
		t.Errorf("the plan is now %+v", plan)
	}
}
