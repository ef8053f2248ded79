package channels

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

const event = `{"name":"e","data":"1","channels":["news"]}`

func TestRequestsThatAreRefused(t *testing.T) {
	h := open(t)
	at := func(off time.Duration) time.Time { return time.Now().Add(off) }
	set := func(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }
	drop := func(name string) func(url.Values) { return func(v url.Values) { v.Del(name) } }
	for name, c := range map[string]struct {
		request
		status int
		part   string
	}{
		"right":                   {request{}, 200, "{}"},
		"another key of the app":  {request{key: "next-key", secret: "next-secret"}, 200, "{}"},
		"599 s late":              {request{at: at(-599 * time.Second)}, 200, "{}"},
		"599 s early":             {request{at: at(599 * time.Second)}, 200, "{}"},
		"601 s late":              {request{at: at(-602 * time.Second)}, 401, "not within 600s"},
		"601 s early":             {request{at: at(602 * time.Second)}, 401, "not within 600s"},
		"in the year 1":           {request{spoil: set("auth_timestamp", "-62135596800")}, 401, "Timestamp expired"},
		"far beyond":              {request{spoil: set("auth_timestamp", strconv.FormatInt(1<<62, 10))}, 401, "Timestamp expired"},
		"no number":               {request{spoil: set("auth_timestamp", "now")}, 401, "Invalid timestamp"},
		"no timestamp":            {request{spoil: drop("auth_timestamp")}, 401, "Invalid timestamp"},
		"wrong secret":            {request{key: "app-key", secret: "app-secret2"}, 401, "Invalid signature: you should have sent HmacSHA256Hex(\"POST\\n/apps/1/events\\n"},
		"key of another app":      {request{key: "key2", secret: "secret2"}, 401, "Unknown auth_key"},
		"unknown key":             {request{key: "x", secret: "x"}, 401, "Unknown auth_key"},
		"no key":                  {request{spoil: drop("auth_key")}, 401, "Unknown auth_key"},
		"no signature":            {request{spoil: drop("auth_signature")}, 401, "Invalid signature"},
		"signature in upper case": {request{spoil: func(v url.Values) { v.Set("auth_signature", strings.ToUpper(v.Get("auth_signature"))) }}, 401, "Invalid signature"},
		"version 2":               {request{spoil: set("auth_version", "2.0")}, 401, "auth_version"},
		"no version":              {request{spoil: drop("auth_version")}, 401, "auth_version"},
		"no md5":                  {request{spoil: drop("body_md5")}, 401, "body_md5"},
		"wrong md5":               {request{spoil: set("body_md5", "d41d8cd98f00b204e9800998ecf8427e")}, 401, "body_md5"},
		"two keys":                {request{spoil: func(v url.Values) { v.Add("auth_key", "app-key") }}, 401, "twice"},
		"two keys in two cases":   {request{spoil: set("Auth_Key", "app-key")}, 401, "twice"},
		"one more parameter":      {request{spoil: set("x", "y")}, 401, "Invalid signature"},
		"signed for another path": {request{signPath: "/apps/1/event"}, 401, "Invalid signature"},
		"upper case in the query": {request{query: map[string]string{"NAME": "Something else"}}, 200, "{}"},
		"escaped path":            {request{path: "/apps/%31/events", signPath: "/apps/1/events"}, 200, "{}"},
		"escaped path, signed so": {request{path: "/apps/%31/events"}, 200, "{}"},
		"unknown app":             {request{path: "/apps/77/events"}, 404, "No app"},
		"unknown endpoint":        {request{path: "/apps/1/nothing"}, 404, "Not found"},
		"wrong method":            {request{method: http.MethodGet}, 404, "Not found"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.request
			if r.path == "" {
				r.path = "/apps/1/events"
			}
			r.body = event
			status, text := h.do(r)
			if status != c.status || !strings.Contains(text, c.part) {
				t.Errorf("%d %s; want %d with %q", status, text, c.status, c.part)
			}
			if strings.Contains(text, "app-secret") || strings.Contains(text, "next-secret") {
				t.Error("the answer carries a secret")
			}
		})
	}
}

func TestTheBodyIsSigned(t *testing.T) {
	h := open(t)
	sum := md5.Sum([]byte(event))
	status, _ := h.do(request{
		path: "/apps/1/events", body: strings.Replace(event, "1", "2", 1),
		query: map[string]string{"BODY_MD5": hex.EncodeToString(sum[:])},
	})
	if status != http.StatusUnauthorized {
		t.Errorf("one byte changed: %d", status)
	}
}

// Python's SDK sends the MD5 of nothing with every GET.
func TestBodyMD5OfNothing(t *testing.T) {
	h := open(t)
	for md5, want := range map[string]int{"d41d8cd98f00b204e9800998ecf8427e": 200, "0": 401} {
		status, _ := h.do(request{method: http.MethodGet, path: "/apps/1/channels", query: map[string]string{"body_md5": md5}})
		if status != want {
			t.Errorf("body_md5=%s: %d", md5, status)
		}
	}
}

// Node's and Go's SDKs put commas into the URL as they are, PHP's escapes them.
func TestCommasRawAndEscaped(t *testing.T) {
	h := open(t)
	query := map[string]string{
		"auth_key": "app-key", "auth_version": "1.0", "info": "user_count,subscription_count",
		"auth_timestamp": strconv.FormatInt(time.Now().Unix(), 10),
	}
	const path = "/apps/1/channels/presence-a"
	signature := sign("app-secret", requestText(http.MethodGet, path, sorted(query)))
	for _, comma := range []string{",", "%2C", "%2c"} {
		raw := "?auth_key=app-key&auth_version=1.0&info=user_count" + comma + "subscription_count&auth_timestamp=" +
			query["auth_timestamp"] + "&auth_signature=" + signature
		if status, text := h.raw(http.MethodGet, path+raw, ""); status != http.StatusOK {
			t.Errorf("with %s: %d %s", comma, status, text)
		}
	}
}

func TestPrefixIsNotSigned(t *testing.T) {
	h := openAt(t, "/pusher/")
	h.publish(event)
}

func TestBodyOverTheCap(t *testing.T) {
	h := open(t)
	status, text := h.do(request{path: "/apps/1/events", body: strings.Repeat("x", 300<<10)})
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, text)
	}
}
