package sim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone/sim"
)

// sent is FCM's answer.
type sent struct {
	status int
	header http.Header
	Name   string
	Error  struct {
		Code    int
		Message string
		Status  string
		Details []struct {
			Type       string `json:"@type"`
			ErrorCode  string
			Violations []struct{ Field, Description string } `json:"fieldViolations"`
		}
	}
}

func (s sent) errorCode() string {
	for _, d := range s.Error.Details {
		if d.Type == "type.googleapis.com/google.firebase.fcm.v1.FcmError" {
			return d.ErrorCode
		}
	}
	return ""
}

// violations returns the fields of google.rpc.BadRequest, separated by commas.
func (s sent) violations() string {
	var fields []string
	for _, d := range s.Error.Details {
		if d.Type == "type.googleapis.com/google.rpc.BadRequest" {
			for _, v := range d.Violations {
				fields = append(fields, v.Field)
			}
		}
	}
	return strings.Join(fields, ",")
}

func (b *lab) fcm(project, authorization, body string) sent {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+b.addr+"/v1/projects/"+project+"/messages:send", strings.NewReader(body))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := b.http.Do(r)
	must(b.t, err)
	s := sent{status: res.StatusCode, header: res.Header}
	text := readAll(b.t, res)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		must(b.t, json.Unmarshal([]byte(text), &s))
	}
	return s
}

// TestFCMSchema sends what Google's front end refuses before FCM sees it, and
// holds the answer to Google's words.
func TestFCMSchema(t *testing.T) {
	b := start(t, sim.Options{})
	token := b.add("ana", "android").Token
	bearer := "Bearer " + b.access()
	tests := []struct{ message, field, text string }{
		{`"foo":1`, "message", `Invalid JSON payload received. Unknown name "foo" at 'message': Cannot find field.`},
		{`"android":{"foo":1}`, "message.android", `Invalid JSON payload received. Unknown name "foo" at 'message.android': Cannot find field.`},
		{`"data":{"a":"b","n":1}`, "message.data[1].value", `Invalid value at 'message.data[1].value' (TYPE_STRING), 1`},
		{`"data":{"n":true}`, "message.data[0].value", `Invalid value at 'message.data[0].value' (TYPE_STRING), true`},
		{`"data":{"n":null}`, "message.data[0].value", `Invalid value at 'message.data[0].value' (TYPE_STRING), null`},
		{`"data":{"n":{}}`, "message.data[0].value", `Invalid value at 'message.data[0].value' (TYPE_STRING), Starting an object on a scalar field`},
		{`"data":"x"`, "message.data", `Invalid value at 'message.data' (type.googleapis.com/google.firebase.fcm.v1.Message.DataEntry), "x"`},
		{`"data":[]`, "message.data", `Invalid value at 'message.data' (Map), Cannot bind a list to map for field 'data'.`},
		{`"notification":"x"`, "message.notification", `Invalid value at 'message.notification' (type.googleapis.com/google.firebase.fcm.v1.Notification), "x"`},
		{`"notification":{"title":5}`, "message.notification.title", `Invalid value at 'message.notification.title' (TYPE_STRING), 5`},
		{`"notification":{"title":["x"]}`, "message.notification", `Invalid JSON payload received. Unknown name "title" at 'message.notification': Proto field is not repeating, cannot start list.`},
		{`"notification":{"title":{}}`, "message.notification", `Invalid JSON payload received. Unknown name "title" at 'message.notification': Starting an object on a scalar field.`},
		{`"android":{"priority":"URGENT"}`, "message.android.priority", `Invalid value at 'message.android.priority' (type.googleapis.com/google.firebase.fcm.v1.AndroidConfig.AndroidMessagePriority), "URGENT"`},
		{`"android":{"ttl":"60"}`, "message.android.ttl", `Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), Field 'ttl', Illegal duration format; duration must end with 's'`},
		{`"android":{"ttl":60}`, "message.android.ttl", `Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), 60`},
		{`"android":{"direct_boot_ok":"yes"}`, "message.android.direct_boot_ok", `Invalid value at 'message.android.direct_boot_ok' (TYPE_BOOL), "yes"`},
		{`"android":{"notification":{"notification_count":1.5}}`, "message.android.notification.notification_count", `Invalid value at 'message.android.notification.notification_count' (TYPE_INT32), 1.5`},
		{`"apns":{"payload":"x"}`, "message.apns.payload", `Invalid value at 'message.apns.payload' (type.googleapis.com/google.protobuf.Struct), "x"`},
		{`"topic":"news"`, "message", `Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'topic'`},
		{`"foo":1,"bar":2`, "message,message", "Invalid JSON payload received. Unknown name \"foo\" at 'message': Cannot find field.\nInvalid JSON payload received. Unknown name \"bar\" at 'message': Cannot find field."},
	}
	for _, test := range tests {
		t.Run(test.message, func(t *testing.T) {
			b := b.with(t)
			got := b.fcm("diaphone-sim", bearer, fmt.Sprintf(`{"message":{"token":%q,%s}}`, token, test.message))
			if got.status != 400 || got.Error.Status != "INVALID_ARGUMENT" || got.errorCode() != "" {
				t.Errorf("got %d %q %q", got.status, got.Error.Status, got.errorCode())
			}
			if got.Error.Message != test.text {
				t.Errorf("got  %s\nwant %s", got.Error.Message, test.text)
			}
			if got.violations() != test.field {
				t.Errorf("violations of %q, want %q", got.violations(), test.field)
			}
		})
	}
	for _, body := range []string{"", "{", "[]", `"x"`, `{"message":{}} x`, "{\"message\":{\"token\":\"\xff\"}}", strings.Repeat("[", 200)} {
		if got := b.fcm("diaphone-sim", bearer, body); got.status != 400 || !strings.HasPrefix(got.Error.Message, "Invalid JSON payload received.") {
			t.Errorf("%q: %d %q", body, got.status, got.Error.Message)
		}
	}
	if got := b.fcm("diaphone-sim", bearer, `{"massage":{}}`); got.Error.Message != `Invalid JSON payload received. Unknown name "massage": Cannot find field.` {
		t.Errorf("got %q", got.Error.Message)
	}
}

// TestFCMMessage sends what fits the schema to FCM's own checks.
func TestFCMMessage(t *testing.T) {
	b := start(t, sim.Options{Projects: []string{"other-project"}})
	ana := b.add("ana", "android").Token
	b.add("bob", "android")
	gone := b.move("bob", "uninstalled").Token
	b.add("eve", "android")
	removed := b.move("eve", "online").Token
	b.ok(nil, "DELETE", "/sim/devices/eve", "")
	var foreign device
	b.ok(&foreign, "POST", "/sim/devices", `{"name":"foreign","platform":"android","project_id":"other-project"}`)
	bearer := "Bearer " + b.access()
	to := func(token, rest string) string { return fmt.Sprintf(`{"message":{"token":%q%s}}`, token, rest) }
	large := func(n int) string { return to(ana, `,"data":{"k":"`+strings.Repeat("x", n-1)+`"}`) }

	tests := []struct {
		name, body string
		status     int
		code       string // in FcmError
		field      string
	}{
		{"notification", to(ana, `,"notification":{"title":"Hi","body":"hello"}`), 200, "", ""},
		{"data alone", to(ana, `,"data":{"a":"b"}`), 200, "", ""},
		{"camel case", to(ana, `,"android":{"collapseKey":"k","ttl":"3.5s","directBootOk":true,"priority":"high"}`), 200, "", ""},
		{"nulls", to(ana, `,"notification":null,"android":{"ttl":null}`), 200, "", ""},
		{"number as text", to(ana, `,"android":{"notification":{"notification_count":"3"}}`), 200, "", ""},
		{"everything", to(ana, everything), 200, "", ""},
		{"4096 bytes", large(4096), 200, "", ""},
		{"topic", `{"message":{"topic":"news","data":{"a":"b"}}}`, 200, "", ""},
		{"condition", `{"message":{"condition":"'a' in topics && ('b' in topics || 'c' in topics)"}}`, 200, "", ""},
		{"validate only", fmt.Sprintf(`{"validate_only":true,"message":{"token":%q}}`, ana), 200, "", ""},

		{"no recipient", `{"message":{"data":{"a":"b"}}}`, 400, "INVALID_ARGUMENT", "message"},
		{"no message", `{}`, 400, "INVALID_ARGUMENT", "message"},
		{"4097 bytes", large(4097), 400, "INVALID_ARGUMENT", "message"},
		{"2049 bytes to a topic", `{"message":{"topic":"news","data":{"k":"` + strings.Repeat("x", 2048) + `"}}}`, 400, "INVALID_ARGUMENT", "message"},
		{"reserved from", to(ana, `,"data":{"from":"x"}`), 400, "INVALID_ARGUMENT", "message.data"},
		{"reserved prefix", to(ana, `,"android":{"data":{"google.x":"x"}}`), 400, "INVALID_ARGUMENT", "message.android.data"},
		{"reserved gcm", to(ana, `,"data":{"gcm.x":"x"}`), 400, "INVALID_ARGUMENT", "message.data"},
		{"ttl of 29 days", to(ana, `,"android":{"ttl":"2505600s"}`), 400, "INVALID_ARGUMENT", "message.android.ttl"},
		{"ttl below zero", to(ana, `,"android":{"ttl":"-1s"}`), 400, "INVALID_ARGUMENT", "message.android.ttl"},
		{"topic name", `{"message":{"topic":"a b"}}`, 400, "INVALID_ARGUMENT", "message.topic"},
		{"condition of six", `{"message":{"condition":"` + strings.Repeat("'a' in topics || ", 5) + `'a' in topics"}}`, 400, "INVALID_ARGUMENT", "message.condition"},
		{"color", to(ana, `,"android":{"notification":{"color":"red"}}`), 400, "INVALID_ARGUMENT", "message.android.notification.color"},
		{"http link", to(ana, `,"webpush":{"fcm_options":{"link":"http://x"}}`), 400, "INVALID_ARGUMENT", "message.webpush.fcm_options.link"},
		{"label", to(ana, `,"fcm_options":{"analytics_label":"a b"}`), 400, "INVALID_ARGUMENT", "message.fcm_options.analytics_label"},
		{"malformed token", to("nonsense", ""), 400, "INVALID_ARGUMENT", "message.token"},
		{"unknown token", to(strings.Replace(ana, ":APA91b", "x:APA91b", 1), ""), 404, "UNREGISTERED", ""},
		{"uninstalled", to(gone, ""), 404, "UNREGISTERED", ""},
		{"removed", to(removed, ""), 404, "UNREGISTERED", ""},
		{"of another project", to(foreign.Token, ""), 403, "SENDER_ID_MISMATCH", ""},
	}
	name := regexp.MustCompile(`^projects/diaphone-sim/messages/(0:\d+%[0-9a-f]{16}|fake_message_id)$`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t)
			b.ok(nil, "DELETE", "/sim/inbox", "")
			got := b.fcm("diaphone-sim", bearer, test.body)
			if got.status != test.status || got.errorCode() != test.code || got.violations() != test.field {
				t.Errorf("got %d %q of %q, want %d %q of %q: %s", got.status, got.errorCode(), got.violations(),
					test.status, test.code, test.field, got.Error.Message)
			}
			if (got.status == 200) != name.MatchString(got.Name) {
				t.Errorf("name %q", got.Name)
			}
			arrives := got.status == 200 && strings.Contains(test.body, ana) && !strings.Contains(test.body, "validate_only")
			if shown := len(b.inbox("")); (shown == 1) != arrives {
				t.Errorf("the inbox has %d entries", shown)
			}
		})
	}
}

const everything = `,
 "name":"x","data":{"a":"b"},"fcm_options":{"analytics_label":"l"},"notification":{"title":"t","body":"b","image":"https://x"},
 "android":{"collapse_key":"k","priority":"NORMAL","ttl":"3600s","restricted_package_name":"p","data":{"a":"c"},
  "direct_boot_ok":true,"bandwidth_constrained_ok":true,"restricted_satellite_ok":false,"fcm_options":{"analytics_label":"l"},
  "notification":{"title":"t","body":"b","icon":"i","color":"#aabbcc","sound":"default","tag":"t","click_action":"c",
   "body_loc_key":"k","body_loc_args":["a"],"title_loc_key":"k","title_loc_args":["a","b"],"channel_id":"c","ticker":"t",
   "sticky":true,"event_time":"2026-01-02T03:04:05.678Z","local_only":true,"notification_priority":"PRIORITY_MAX",
   "default_sound":true,"default_vibrate_timings":true,"default_light_settings":true,"vibrate_timings":["0.5s","1s"],
   "visibility":"SECRET","notification_count":7,"image":"https://x","proxy":"IF_PRIORITY_LOWERED",
   "light_settings":{"color":{"red":0.1,"green":1,"blue":0,"alpha":1},"light_on_duration":"1s","light_off_duration":"1s"}}},
 "apns":{"headers":{"apns-priority":"5"},"payload":{"aps":{"alert":"x"},"n":[1,null]},"fcm_options":{"analytics_label":"l","image":"https://x"},"live_activity_token":"t"},
 "webpush":{"headers":{"TTL":"1"},"data":{"a":"b"},"notification":{"title":"t","vibrate":[1]},"fcm_options":{"link":"https://x","analytics_label":"l"}}`

func TestFCMCaller(t *testing.T) {
	b := start(t, sim.Options{})
	token := b.add("ana", "android").Token
	access := b.access()
	body := fmt.Sprintf(`{"message":{"token":%q}}`, token)
	changed := []byte(access)
	if changed[20] != 'A' {
		changed[20] = 'A'
	} else {
		changed[20] = 'B'
	}
	tests := []struct {
		name, project, authorization string
		status                       int
		code, challenge              string
	}{
		{"good", "diaphone-sim", "Bearer " + access, 200, "", ""},
		{"nothing", "diaphone-sim", "", 401, "UNAUTHENTICATED", `Bearer realm="https://accounts.google.com/"`},
		{"garbage", "diaphone-sim", "Bearer x", 401, "UNAUTHENTICATED", `Bearer realm="https://accounts.google.com/", error="invalid_token"`},
		{"server key", "diaphone-sim", "key=" + access, 401, "UNAUTHENTICATED", `Bearer realm="https://accounts.google.com/", error="invalid_token"`},
		{"changed", "diaphone-sim", "Bearer " + string(changed), 401, "UNAUTHENTICATED", `Bearer realm="https://accounts.google.com/", error="invalid_token"`},
		{"another project", "other", "Bearer " + access, 403, "PERMISSION_DENIED", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t)
			got := b.fcm(test.project, test.authorization, body)
			if got.status != test.status || got.Error.Status != test.code || got.errorCode() != "" {
				t.Errorf("got %d %q %q", got.status, got.Error.Status, got.errorCode())
			}
			if h := got.header.Get("WWW-Authenticate"); h != test.challenge {
				t.Errorf("WWW-Authenticate: %s", h)
			}
		})
	}
	if status, text := b.do("GET", "/v1/projects/diaphone-sim/messages:send", ""); status != 404 || !strings.Contains(text, "<title>Error 404") {
		t.Errorf("GET: %d %s", status, text)
	}
	if status, _ := b.do("POST", "/v1/projects/diaphone-sim/messages:batch", "{}"); status != 404 {
		t.Errorf("batch: %d", status)
	}
}

// TestFCMTransports sends over every transport a client may come with.
func TestFCMTransports(t *testing.T) {
	b := start(t, sim.Options{})
	token := b.add("ana", "android").Token
	access := b.access()
	var h2c, http1, http2 http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	http1.SetHTTP1(true)
	http2.SetHTTP2(true)
	config := b.tlsConfig()
	config.ServerName = "fcm.googleapis.com"
	tests := []struct {
		name      string
		transport *http.Transport
		url       string
		major     int
	}{
		{"http/1.1", &http.Transport{Protocols: &http1}, "http://", 1},
		{"h2c", &http.Transport{Protocols: &h2c}, "http://", 2},
		{"TLS http/1.1", &http.Transport{Protocols: &http1, TLSClientConfig: config}, "https://", 1},
		{"TLS h2", &http.Transport{Protocols: &http2, TLSClientConfig: config.Clone()}, "https://", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer test.transport.CloseIdleConnections()
			r, err := http.NewRequest(http.MethodPost, test.url+b.addr+"/v1/projects/diaphone-sim/messages:send",
				strings.NewReader(fmt.Sprintf(`{"message":{"token":%q}}`, token)))
			must(t, err)
			r.Header.Set("Authorization", "Bearer "+access)
			res, err := (&http.Client{Transport: test.transport, Timeout: bound}).Do(r)
			must(t, err)
			text := readAll(t, res)
			if res.StatusCode != http.StatusOK || res.ProtoMajor != test.major {
				t.Errorf("%s %d %s", res.Proto, res.StatusCode, text)
			}
		})
	}
	if got := b.stats()["fcm"]; got.Connections != 4 || got.Accepted != 4 {
		t.Errorf("statistics: %+v", got)
	}
}
