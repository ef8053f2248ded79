package device_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

// key2 is app 2's public key in these tests.
const key2 = "key-of-app-two"

func start(t *testing.T) *apitest.Server {
	t.Helper()
	return apitest.Start(t, apitest.Options{Edit: func(a *diaphone.App) {
		if a.ID == "2" {
			a.Keys = []diaphone.Key{{Key: key2, Secret: "canary-secret-of-app-two"}}
		}
	}})
}

// android is what an installation with an FCM token says; none: it has no token yet.
func android(token string) string {
	tokens := ""
	if token != "" {
		tokens = `,"tokens":[{"kind":"fcm","value":"` + token + `"}]`
	}
	return `{"platform":"android","locale":"de-AT"` + tokens + `}`
}

func enrol(t *testing.T, s *apitest.Server, key, body string) wire.Enrolled {
	t.Helper()
	a := s.Do("", "POST", "/v1/apps/"+key+"/devices", body)
	must(t, a, 201)
	var e wire.Enrolled
	a.JSON(t, &e)
	return e
}

func must(t *testing.T, a apitest.Answer, status int) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%d %s, want %d", a.Status, a.Body, status)
	}
}

func deviceIn(t *testing.T, a apitest.Answer) (d wire.Device) {
	t.Helper()
	must(t, a, 200)
	a.JSON(t, &d)
	return d
}

func TestAnInstallation(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("tok:en-1"))
	if !strings.HasPrefix(string(e.Device.ID), "dev_") || e.Device.UserID != "" || len(e.Device.Channels) != 0 || e.Device.Tokens[0].Value != "tok:en-1" {
		t.Errorf("%+v", e.Device)
	}
	d := deviceIn(t, s.Do(e.Secret, "GET", "/v1/device", ""))
	if d.ID != e.Device.ID || d.Locale != "de-AT" || d.Tokens[0].State != wire.TokenActive {
		t.Errorf("%+v", d)
	}
	// What its backend says of it stays when the app says what it is.
	path := "/v1/devices/" + string(d.ID)
	must(t, s.Do(apitest.Token1, "PUT", path, `{"platform":"android","user_id":"ana","channels":["news"],"tags":{"plan":"gold"}}`), 200)
	d = deviceIn(t, s.Do(e.Secret, "PUT", "/v1/device", `{"platform":"ios","tokens":[{"kind":"apns","value":"ab12","environment":"sandbox","topic":"com.example.chat"}],"time_zone":"Europe/Vienna"}`))
	if d.UserID != "ana" || len(d.Channels) != 1 || d.Tags["plan"] != "gold" || d.Platform != "ios" || d.Locale != "" || d.TimeZone != "Europe/Vienna" ||
		len(d.Tokens) != 1 || d.Tokens[0].Topic != "com.example.chat" {
		t.Errorf("%+v", d)
	}
	if again := deviceIn(t, s.Do(e.Secret, "GET", "/v1/device", "")); fmt.Sprint(again) != fmt.Sprint(d) {
		t.Errorf("%+v, was %+v", again, d)
	}
	must(t, s.Do(e.Secret, "DELETE", "/v1/device", ""), 204)
	must(t, s.Do(apitest.Token1, "GET", path, ""), 404)
	must(t, s.Do(e.Secret, "GET", "/v1/device", ""), 401)
	must(t, s.Do(e.Secret, "DELETE", "/v1/device", ""), 401)
}

// A token that turns up on another device ends the device that had it: its secret is
// void, and nothing of it goes over to the other.
func TestATokenIsNeverTransferred(t *testing.T) {
	s := start(t)
	old := enrol(t, s, apitest.Key1, android("shared"))
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/"+string(old.Device.ID), `{"platform":"android","user_id":"ana","channels":["private-x"],"tokens":[{"kind":"fcm","value":"shared"}]}`), 200)
	elsewhere := enrol(t, s, key2, android("shared")) // another app's is another's
	must(t, s.Do(old.Secret, "GET", "/v1/device", ""), 200)

	thief := enrol(t, s, apitest.Key1, android("shared"))
	if thief.Device.UserID != "" || len(thief.Device.Channels) != 0 {
		t.Errorf("%+v", thief.Device)
	}
	must(t, s.Do(old.Secret, "GET", "/v1/device", ""), 401)
	must(t, s.Do(elsewhere.Secret, "GET", "/v1/device", ""), 200)
	devices, _, err := s.Store.ListDevices(t.Context(), "1", "", storage.Page{Limit: 10})
	if err != nil || len(devices) != 1 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
	// The same by PUT, of one that had another token.
	back := enrol(t, s, apitest.Key1, android("other"))
	must(t, s.Do(back.Secret, "PUT", "/v1/device", android("shared")), 200)
	must(t, s.Do(thief.Secret, "GET", "/v1/device", ""), 401)
}

// All refusals are the same, to the byte.
func TestRefusalsAreAlike(t *testing.T) {
	s := start(t)
	mine, theirs := enrol(t, s, apitest.Key1, android("")), enrol(t, s, key2, android(""))
	gone := enrol(t, s, apitest.Key1, android(""))
	must(t, s.Do(gone.Secret, "DELETE", "/v1/device", ""), 204)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/without", `{"platform":"ios"}`), 201)
	secret := func(app diaphone.AppID, id diaphone.DeviceID) string {
		return diaphone.NewDeviceSecret(app, id).Reveal()
	}
	first := ""
	for name, token := range map[string]string{
		"none": "", "nonsense": "x", "the backend's": apitest.Token1, "cut short": mine.Secret[:len(mine.Secret)-2],
		"of a device that is gone": gone.Secret, "made up, for mine": secret("1", mine.Device.ID), "made up, for theirs": secret("2", theirs.Device.ID),
		"mine, as another app's": secret("2", mine.Device.ID), "of no device": secret("1", "nobody"), "of no app": secret("9", mine.Device.ID),
		"of a device without": secret("1", "without"), "no JWT": "a.b.c", "huge": "dds_" + strings.Repeat("A", 10000),
	} {
		for _, call := range []struct{ method, body string }{{"GET", ""}, {"PUT", android("x")}, {"PUT", "{"}, {"DELETE", ""}} {
			a := s.Do(token, call.method, "/v1/device", call.body, "X-Request-Id: same")
			got := fmt.Sprint(a.Status, string(a.Body), a.Header.Get("WWW-Authenticate"), len(a.Header) > 0)
			if first == "" {
				first = got
			}
			if a.Status != 401 || got != first {
				t.Errorf("%s, %s: %s, others get %s", name, call.method, got, first)
			}
		}
	}
	// And the backend's doors take no device's secret.
	for _, path := range []string{"/v1/devices", "/v1/devices/" + string(mine.Device.ID), "/v1/users/ana", "/v1/channels"} {
		must(t, s.Do(mine.Secret, "GET", path, ""), 401)
	}
	must(t, s.Do(mine.Secret, "GET", "/v1/device", ""), 200)
	for _, canary := range []string{mine.Secret, theirs.Secret, gone.Secret} {
		if strings.Contains(s.Log(), canary) {
			t.Error("a secret is in the log")
		}
	}
}

func TestEnrolRefused(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		name, key, body string
		status          int
		pointer         string
	}{
		{"unknown key", "nobodys", android("x"), 404, ""},
		{"no key", "%20", android("x"), 404, ""},
		{"a bad escape", "%zz", android("x"), 400, ""},
		{"the app's secret", "canary-secret-of-app-one", android("x"), 404, ""},
		{"a user", apitest.Key1, `{"platform":"ios","user_id":"ana"}`, 422, "/user_id"},
		{"a device id", apitest.Key1, `{"platform":"ios","device_id":"d"}`, 422, "/device_id"},
		{"channels", apitest.Key1, `{"platform":"ios","channels":["news"]}`, 422, "/channels"},
		{"tags", apitest.Key1, `{"platform":"ios","tags":{}}`, 422, "/tags"},
		{"a secret", apitest.Key1, `{"platform":"ios","secret":"dds_x"}`, 422, "/secret"},
		{"no platform", apitest.Key1, `{}`, 422, "/platform"},
		{"an endpoint within", apitest.Key1, `{"platform":"web","tokens":[{"kind":"webpush","subscription":{"endpoint":"https://169.254.169.254/x","keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}}]}`, 422, "/tokens/0/subscription/endpoint"},
		{"a topic of FCM", apitest.Key1, `{"platform":"ios","tokens":[{"kind":"fcm","value":"x","topic":"com.example"}]}`, 422, "/tokens/0/topic"},
		{"an odd topic", apitest.Key1, `{"platform":"ios","tokens":[{"kind":"apns","value":"ab","topic":"a b"}]}`, 422, "/tokens/0/topic"},
		{"too large", apitest.Key1, android("") + strings.Repeat(" ", 16<<10), 413, ""},
		{"half", apitest.Key1, `{"platform"`, 400, ""},
	} {
		if c.status == 400 && strings.Contains(c.key, "%zz") {
			continue // net/http itself refuses it
		}
		a := s.Do("", "POST", "/v1/apps/"+c.key+"/devices", c.body)
		var p wire.Problem
		a.JSON(t, &p)
		pointer := ""
		if len(p.Errors) > 0 {
			pointer = p.Errors[0].Pointer
		}
		if a.Status != c.status || c.pointer != "" && pointer != c.pointer {
			t.Errorf("%s: %d %s", c.name, a.Status, a.Body)
		}
	}
	if a := s.Do("", "POST", "/v1/apps/"+apitest.Key1+"/devices?x=1", android("x")); a.Status != 422 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	devices, _, err := s.Store.ListDevices(t.Context(), "1", "", storage.Page{Limit: 10})
	if err != nil || len(devices) != 0 {
		t.Errorf("%d devices were made, %v", len(devices), err)
	}
}

func TestADisabledApp(t *testing.T) {
	enabled := start(t)
	e := enrol(t, enabled, apitest.Key1, android("x"))
	_ = e
	s := apitest.Start(t, apitest.Options{Edit: func(a *diaphone.App) { a.Disabled = true }})
	must(t, s.Do("", "POST", "/v1/apps/"+apitest.Key1+"/devices", android("x")), 403)
}

func TestEnrolmentIsTheAppsChoice(t *testing.T) {
	s := apitest.Start(t, apitest.Options{Edit: func(a *diaphone.App) { a.Enrolment = false }})
	must(t, s.Do("", "POST", "/v1/apps/"+apitest.Key1+"/devices", android("x")), 403)
	if devices, _, err := s.Store.ListDevices(t.Context(), "1", "", storage.Page{Limit: 10}); err != nil || len(devices) > 0 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
}

// APNs tokens are hex: two spellings are one token, which reaches one phone.
func TestTwoSpellingsOfAToken(t *testing.T) {
	s := start(t)
	token := func(v string) string { return `{"platform":"ios","tokens":[{"kind":"apns","value":"` + v + `"}]}` }
	first := enrol(t, s, apitest.Key1, token("ab12"))
	second := enrol(t, s, apitest.Key1, token("AB12"))
	must(t, s.Do(first.Secret, "GET", "/v1/device", ""), 401)
	must(t, s.Do(second.Secret, "GET", "/v1/device", ""), 200)
}

// What the contract shows works when it is sent.
func TestExamples(t *testing.T) {
	s := start(t)
	for _, operation := range []struct{ method, path string }{{"POST", "/v1/apps/{app_key}/devices"}, {"PUT", "/v1/device"}} {
		o := s.Judge.Doc.Paths.Value(operation.path).GetOperation(operation.method)
		for name, example := range o.RequestBody.Value.Content.Get("application/json").Examples {
			body, err := json.Marshal(example.Value.Value)
			if err != nil {
				t.Fatal(err)
			}
			e := enrol(t, s, apitest.Key1, string(body))
			if a := s.Do(e.Secret, "PUT", "/v1/device", string(body)); a.Status != 200 {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	}
}
