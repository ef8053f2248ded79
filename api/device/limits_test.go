package device_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/storage"
)

func limited(t *testing.T, failures int, edit func(*diaphone.App)) *apitest.Server {
	t.Helper()
	return apitest.Start(t, apitest.Options{
		FailedAuths: failures, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Edit: func(a *diaphone.App) {
			if a.ID == "2" {
				a.Keys = []diaphone.Key{{Key: key2, Secret: "canary-secret-of-app-two"}}
			}
			edit(a)
		},
	})
}

func from(address string) string { return "X-Forwarded-For: " + address }

// told checks an answer that sends a caller away for a while.
func told(t *testing.T, a apitest.Answer, policy string, within int) {
	t.Helper()
	after, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.Status != http.StatusTooManyRequests || err != nil || after < 1 || after > within ||
		!strings.HasPrefix(a.Header.Get("RateLimit-Policy"), strconv.Quote(policy)+";q=") || !strings.Contains(a.Header.Get("RateLimit"), ";r=0;") {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
}

func TestEnrolmentsOfAnAddress(t *testing.T) {
	s := limited(t, 0, func(a *diaphone.App) { a.Limits.Enrolments = 3 })
	enrolFrom := func(address, key, body string) apitest.Answer {
		return s.Do("", "POST", "/v1/apps/"+key+"/devices", body, from(address))
	}
	for i, address := range []string{"2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3"} {
		a := enrolFrom(address, apitest.Key1, android(fmt.Sprint("t", i)))
		must(t, a, 201)
		if got := a.Header.Get("RateLimit-Policy"); got != `"enrolments";q=3;w=60` || !strings.HasPrefix(a.Header.Get("RateLimit"), fmt.Sprintf(`"enrolments";r=%d;`, 2-i)) {
			t.Errorf("%s, %s", got, a.Header.Get("RateLimit"))
		}
	}
	told(t, enrolFrom("2001:db8:1:2::9", apitest.Key1, android("t9")), "enrolments", 20)
	told(t, enrolFrom("2001:db8:1:2::9", apitest.Key1, `{`), "enrolments", 20) // nothing is read
	must(t, enrolFrom("2001:db8:1:3::1", apitest.Key1, android("u1")), 201)    // another network
	must(t, enrolFrom("2001:db8:1:2::9", key2, android("u2")), 201)            // another app
	must(t, enrolFrom("192.0.2.1", apitest.Key1, android("u3")), 201)
	devices, _, err := s.Store.ListDevices(t.Context(), "1", "", storage.Page{Limit: 10})
	if err != nil || len(devices) != 5 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
}

func TestCallsOfADevice(t *testing.T) {
	s := limited(t, 0, func(a *diaphone.App) { a.Limits.DeviceCalls = 4 })
	mine, other := enrol(t, s, apitest.Key1, android("x")), enrol(t, s, apitest.Key1, android("y"))
	// Who makes secrets up for a device uses up nothing of it.
	for range 10 {
		must(t, s.Do(diaphone.NewDeviceSecret("1", mine.Device.ID).Reveal(), "GET", "/v1/device", ""), 401)
	}
	for range 3 {
		must(t, s.Do(mine.Secret, "GET", "/v1/device", ""), 200)
	}
	must(t, s.Do(mine.Secret, "PUT", "/v1/device", android("x")), 200)
	told(t, s.Do(mine.Secret, "PUT", "/v1/device", android("z")), "device", 15)
	told(t, s.Do(mine.Secret, "DELETE", "/v1/device", ""), "device", 15)
	must(t, s.Do(other.Secret, "GET", "/v1/device", ""), 200)
	must(t, s.Do(apitest.Token1, "GET", "/v1/devices/"+string(mine.Device.ID), ""), 200) // the backend is not limited by it
}

// Who fails too often is told to wait at every door of the native API; what is good passes,
// of the same address too.
func TestFailuresOfAnAddress(t *testing.T) {
	s := limited(t, 5, func(*diaphone.App) {})
	e := enrol(t, s, apitest.Key1, android("x"))
	bad := []struct{ method, path, token string }{
		{"GET", "/v1/device", "dds_x"}, {"GET", "/v1/devices", "dp_x"}, {"POST", "/v1/messages", ""},
		{"DELETE", "/v1/device/user", diaphone.NewDeviceSecret("1", e.Device.ID).Reveal()}, {"GET", "/v1/channels", e.Secret},
	}
	for _, c := range bad {
		must(t, s.Do(c.token, c.method, c.path, "", from("192.0.2.1")), 401)
	}
	for _, c := range bad {
		told(t, s.Do(c.token, c.method, c.path, "", from("192.0.2.1")), "failures", 12)
	}
	must(t, s.Do(apitest.Token1, "GET", "/v1/devices", "", from("192.0.2.1")), 200)
	must(t, s.Do(e.Secret, "GET", "/v1/device", "", from("192.0.2.1")), 200)
	told(t, s.Do("dp_x", "GET", "/v1/devices", "", from("192.0.2.1")), "failures", 12) // it stays so
	must(t, s.Do(apitest.Token1, "GET", "/v1/devices", "", from("192.0.2.2")), 200)
	must(t, s.Do(e.Secret, "GET", "/v1/device", "", from("192.0.2.2")), 200)
	must(t, s.Do("", "GET", "/livez", "", from("192.0.2.1")), 200)
	for range 10 { // what succeeds, or fails in another way, counts for nothing
		must(t, s.Do(apitest.Token1, "GET", "/v1/devices/nobody", "", from("192.0.2.2")), 404)
	}
	must(t, s.Do("", "GET", "/v1/devices", "", from("192.0.2.2")), 401)
}

func TestPagesOfBrowsers(t *testing.T) {
	s := limited(t, 0, func(a *diaphone.App) {
		if a.ID == "1" {
			a.Channels.Origins = []diaphone.Origin{"https://*.example.com"}
		}
	})
	const good, bad = "Origin: https://app.example.com", "Origin: https://evil.example"
	enrolling := "/v1/apps/" + apitest.Key1 + "/devices"
	for _, path := range []string{enrolling, "/v1/device", "/v1/device/user", "/v1/device/channels/news", "/v1/device/receipts"} {
		a := s.Do("", "OPTIONS", path, "", good, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization")
		if a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") ||
			!strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "PUT") || a.Header.Get("Access-Control-Allow-Credentials") != "" || a.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: %d %v", path, a.Status, a.Header)
		}
	}
	must(t, s.Do("", "POST", enrolling, android("x"), bad), 403)
	a := s.Do("", "POST", enrolling, android("x"), good)
	must(t, a, 201)
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("%v", a.Header)
	}
	e := enrol(t, s, apitest.Key1, android("y")) // no browser
	must(t, s.Do(e.Secret, "DELETE", "/v1/device", "", bad), 403)
	must(t, s.Do(e.Secret, "GET", "/v1/device", "", good), 200)
	if a := s.Do("dds_x", "GET", "/v1/device", "", good); a.Status != 401 || a.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a page cannot read that its secret is void: %d %v", a.Status, a.Header)
	}
	must(t, s.Do("", "POST", "/v1/apps/"+key2+"/devices", android("x"), bad), 201) // an app that lists none admits all
}

// An app has as many devices as it may have, whoever makes them; those that are there go on.
func TestDevicesOfAnApp(t *testing.T) {
	s := limited(t, 0, func(a *diaphone.App) {
		if a.ID == "1" {
			a.Limits.Devices = 3
		}
	})
	put := func(id string) apitest.Answer {
		return s.Do(apitest.Token1, "PUT", "/v1/devices/"+id, `{"platform":"ios"}`)
	}
	must(t, put("d1"), 201)
	e := enrol(t, s, apitest.Key1, android("x"))
	must(t, put("d2"), 201)
	must(t, put("d3"), 403)
	a := s.Do("", "POST", "/v1/apps/"+apitest.Key1+"/devices", android("y"))
	if a.Status != 403 || !strings.Contains(string(a.Body), "limits.devices") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	must(t, put("d1"), 200)
	must(t, s.Do(e.Secret, "PUT", "/v1/device", android("z")), 200)
	enrol(t, s, key2, android("w")) // another app has room
}
