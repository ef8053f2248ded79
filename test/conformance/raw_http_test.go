package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

const get = http.MethodGet

// Lines 14 to 17.
var rawHTTP = map[string]func(*testing.T, *gateway){
	"answers": func(t *testing.T, g *gateway) {
		g.join(t, "main", "protocol=7").enter("presence-answers", `{"user_id":"1"}`)
		g.join(t, "main", "protocol=7").enter("answers", "")
		post := func(path, body, want string) {
			t.Helper()
			g.expect(t, request{path: path, body: body}, 200, want)
		}
		post("/events", `{"name":"e","data":"{}","channels":["answers"]}`, `{}`)
		post("/events", `{"name":"e","data":"{}","channel":"answers"}`, `{}`)
		post("/events", `{"name":"e","data":{"a": 1},"channel":"answers"}`, `{}`)
		post("/events", `{"name":"e","data":"{}","channels":["answers","presence-answers","nobody"],"info":"user_count,subscription_count"}`,
			`{"channels":{"answers":{"subscription_count":1},"nobody":{"subscription_count":0},"presence-answers":{"subscription_count":1,"user_count":1}}}`)
		post("/events", `{"name":"e","data":"{}","channels":["answers"],"info":"user_count"}`, `{"channels":{"answers":{}}}`)
		post("/batch_events", `{"batch":[{"channel":"answers","name":"e","data":"1"},{"channel":"b","name":"e","data":"2"}]}`, `{}`)
		post("/batch_events", `{"batch":[{"channel":"answers","name":"e","data":"1","info":"subscription_count"},{"channel":"b","name":"e","data":"2"}]}`,
			`{"batch":[{"subscription_count":1},{}]}`)
		g.expect(t, request{path: "/events", query: map[string]string{"name": "e", "data": "{}", "channel": "answers"}}, 200, `{}`)
		post("/users/nobody/terminate_connections", `{}`, `{}`)
		post("/users/nobody/terminate_connections", ``, `{}`)
	},
	"answers-queries": func(t *testing.T, g *gateway) {
		g.join(t, "main", "protocol=7").enter("presence-queries", `{"user_id":"1"}`)
		g.join(t, "main", "protocol=7").enter("presence-queries", `{"user_id":"1"}`)
		g.join(t, "main", "protocol=7").enter("queries", "")
		ask := func(path, info, want string) {
			t.Helper()
			query := map[string]string{}
			if info != "" {
				query["info"] = info
			}
			if path == "/channels" {
				query["filter_by_prefix"] = "presence-queries"
			}
			g.expect(t, request{method: get, path: path, query: query}, 200, want)
		}
		ask("/channels", "", `{"channels":{"presence-queries":{}}}`)
		ask("/channels", "user_count", `{"channels":{"presence-queries":{"user_count":1}}}`)
		g.expect(t, request{method: get, path: "/channels", query: map[string]string{"filter_by_prefix": "nobody-"}}, 200, `{"channels":{}}`)
		g.expect(t, request{method: get, path: "/channels", app: "full"}, 200, `{"channels":{}}`)
		ask("/channels/queries", "", `{"occupied":true}`)
		ask("/channels/queries", "subscription_count", `{"occupied":true,"subscription_count":1}`)
		ask("/channels/presence-queries", "user_count,subscription_count", `{"occupied":true,"subscription_count":2,"user_count":1}`)
		ask("/channels/nobody", "", `{"occupied":false}`)
		ask("/channels/cache-queries", "cache", `{"cache":null,"occupied":false}`)
		ask("/channels/presence-queries/users", "", `{"users":[{"id":"1"}]}`)
		ask("/channels/presence-nobody/users", "", `{"users":[]}`)
	},
	"answers-refused": func(t *testing.T, g *gateway) {
		for path, info := range map[string]string{
			"/channels": "user_count", "/channels/a": "user_count", "/channels/b": "cache", "/channels/c": "made_up", "/channels/d/users": "",
		} {
			query := map[string]string{}
			if info != "" {
				query["info"] = info
			}
			status, text := g.do(t, request{method: get, path: path, query: query})
			if status != 400 || text == "" || strings.HasPrefix(text, "{") {
				t.Errorf("%s?info=%s: %d %s", path, info, status, text)
			}
		}
	},
	"answers-deprecated": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.enter("deprecated", "")
		status, text := g.do(t, request{path: "/channels/deprecated/events", body: "plain", query: map[string]string{"name": "e"}})
		if status != http.StatusAccepted || text != "" {
			t.Errorf("%d %q", status, text)
		}
		p.expect("e", "deprecated", "plain")
		g.expect(t, request{method: get, path: "/channels/deprecated/stats"}, 200, `{"connection_count":1,"occupied":true}`)
		g.expect(t, request{path: "/channels/deprecated/events", body: "\xff", query: map[string]string{"name": "e"}}, 400, "UTF-8")
	},

	"signature-vectors": signatureVectors,
	"signature-commas": func(t *testing.T, g *gateway) {
		for _, comma := range []string{",", "%2C", "%2c"} {
			g.expect(t, request{method: get, path: "/channels/presence-commas", query: map[string]string{"info": "user_count,subscription_count"},
				encodeCommas: func(raw string) string { return strings.ReplaceAll(raw, "%2C", comma) }},
				200, `{"occupied":false,"subscription_count":0,"user_count":0}`)
		}
	},
	"signature-case": func(t *testing.T, g *gateway) {
		upper := func(v url.Values) {
			for _, name := range []string{"auth_key", "auth_timestamp", "auth_version", "auth_signature", "info"} {
				v[strings.ToUpper(name)] = v[name]
				delete(v, name)
			}
		}
		g.expect(t, request{method: get, path: "/channels/case", query: map[string]string{"info": "subscription_count"}, wire: upper},
			200, `{"occupied":false,"subscription_count":0}`)
	},
	"signature-missing": func(t *testing.T, g *gateway) {
		for _, name := range []string{"auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5"} {
			event := request{path: "/events", body: `{"name":"e","data":"1","channels":["missing"]}`}
			event.wire = func(v url.Values) { v.Del(name) }
			g.expect(t, event, 401, "")
			event.wire = func(v url.Values) { v.Add(name, v.Get(name)) }
			g.expect(t, event, 401, "twice")
		}
	},
	"signature-md5": func(t *testing.T, g *gateway) {
		const body = `{"name":"e","data":"1","channels":["md5"]}`
		const ofNothing = "d41d8cd98f00b204e9800998ecf8427e"
		md5 := func(sum string) map[string]string { return map[string]string{"body_md5": sum} }
		g.expect(t, request{path: "/events", body: body, query: md5("x")}, 401, "Invalid body_md5")
		g.expect(t, request{path: "/events", body: body, query: md5(ofNothing)}, 401, "Invalid body_md5")
		g.expect(t, request{path: "/events", body: body, wire: func(v url.Values) { v.Del("body_md5") }}, 401, "Invalid body_md5")
		g.expect(t, request{method: get, path: "/channels/md5", query: md5(ofNothing)}, 200, `{"occupied":false}`)
		g.expect(t, request{method: get, path: "/channels/md5", query: md5("x")}, 401, "Invalid body_md5")
	},
	"signature-time": func(t *testing.T, g *gateway) {
		for off, status := range map[int64]int{-599: 200, 599: 200, -601: 401, 601: 401} {
			got, text := 0, ""
			harness.Until(t, patience, "a request within one second of the clock", func() bool {
				now := time.Now()
				got, text = g.do(t, request{method: get, path: "/channels/time", at: now.Add(time.Duration(off) * time.Second)})
				return time.Now().Unix() == now.Unix()
			})
			if got != status {
				t.Errorf("%d s off: %d %s", off, got, text)
			}
		}
	},
	"signature-app": func(t *testing.T, g *gateway) {
		g.expect(t, request{method: get, path: "/channels/x", query: map[string]string{"auth_key": accounts["plain"].Key}}, 401, "Unknown auth_key")
		g.expect(t, request{method: get, path: "/channels/x", query: map[string]string{"auth_key": "nobody"}}, 401, "Unknown auth_key")
		query := map[string]string{"auth_key": "next-key", "auth_version": "1.0", "auth_timestamp": fmt.Sprint(time.Now().Unix())}
		r := request{method: get}
		raw := "auth_key=next-key&auth_version=1.0&auth_timestamp=" + query["auth_timestamp"]
		for path, status := range map[string]int{"/apps/1/channels/x": 200, "/apps/3/channels/x": 401, "/apps/77/channels/x": 404} {
			if got, text := g.send(get, path+"?"+raw+"&auth_signature="+sign("next-secret", r.text(path, query)), ""); got != status {
				t.Errorf("%s: %d %s", path, got, text)
			}
		}
	},
	"signature-negative": signatureNegative,

	"limit-channels": func(t *testing.T, g *gateway) {
		for n, status := range map[int]int{0: 400, 1: 200, 100: 200, 101: 400} {
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf(`"limit-%d"`, i)
			}
			if got, text := g.do(t, request{path: "/events", body: `{"name":"e","data":"1","channels":[` + strings.Join(names, ",") + `]}`}); got != status {
				t.Errorf("%d channels: %d %s", n, got, text)
			}
		}
	},
	"limit-batch": func(t *testing.T, g *gateway) {
		for n, status := range map[int]int{0: 400, 1: 200, 10: 200, 11: 400} {
			events := slices.Repeat([]string{`{"channel":"limit","name":"e","data":"1"}`}, n)
			if got, text := g.do(t, request{path: "/batch_events", body: `{"batch":[` + strings.Join(events, ",") + `]}`}); got != status {
				t.Errorf("%d events: %d %s", n, got, text)
			}
		}
	},
	"limit-bytes": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.enter("limit-bytes", "")
		event := func(n int) string {
			return `{"name":"e","channel":"limit-bytes","data":"` + strings.Repeat("é", n/2) + strings.Repeat("x", n%2) + `"}`
		}
		g.publish(t, event(10_240))
		g.expect(t, request{path: "/events", body: event(10_241)}, 413, "exceeds the allowed maximum (10240 bytes)")
		g.expect(t, request{path: "/batch_events", body: `{"batch":[{"name":"e","channel":"limit-bytes","data":"1"},` + event(10_241) + `]}`}, 413, "10240 bytes")
		p.hearNamed("e")
		p.alive()
	},
	"names-published": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.enter("names", "")
		for _, name := range []string{"", strings.Repeat("x", 201), "pusher:e", "pusher_internal:member_added"} {
			g.expect(t, request{path: "/events", body: `{"name":` + quote(name) + `,"data":"1","channels":["names"]}`}, 400, "")
		}
		g.publish(t, `{"name":"`+strings.Repeat("x", 200)+`","data":"1","channels":["names"]}`)
		p.hearNamed(strings.Repeat("x", 200))
		g.expect(t, request{path: "/events", body: `{"name":"e","data":"1","channels":["#x"]}`}, 400, "")
		g.expect(t, request{path: "/events", body: `{"name":"e","channels":["names"]}`}, 400, "data")
		p.alive()
	},
	"limit-encrypted": func(t *testing.T, g *gateway) {
		g.publish(t, `{"name":"e","data":"1","channels":["a","private-encrypted-a"]}`)
	},

	"except-unknown": func(t *testing.T, g *gateway) {
		p := g.join(t, "main", "protocol=7")
		p.enter("except", "")
		g.publish(t, `{"name":"e","data":"1","channels":["except"],"socket_id":"1.1"}`)
		p.expect("e", "except", "1")
		for _, id := range []string{"x", "1", "1.", "1.1\n", "1.1.1"} {
			g.expect(t, request{path: "/events", body: `{"name":"e","data":"1","channels":["except"],"socket_id":` + quote(id) + `}`}, 400, "")
		}
		p.alive()
	},
}

// parts takes the text of an H vector apart.
func (v vector) parts() (method, path string, query map[string]string) {
	lines := strings.SplitN(v["string_to_sign"], "\n", 3)
	query = make(map[string]string)
	for _, pair := range strings.Split(lines[2], "&") {
		name, value, _ := strings.Cut(pair, "=")
		query[name] = value
	}
	return lines[0], lines[1], query
}

// accountOf gives the app whose key signs the vector.
func accountOf(v vector) string {
	for name, a := range accounts {
		if a.Key == v["key"] && name != "forged" {
			return name
		}
	}
	return ""
}

func signatureVectors(t *testing.T, g *gateway) {
	_, vectors := loadVectors(t)
	tried := 0
	for _, v := range vectors {
		if v["id"][0] != 'H' {
			continue
		}
		tried++
		method, path, query := v.parts()
		app := accountOf(v)
		r := request{app: app, method: method, path: strings.TrimPrefix(path, "/apps/"+accounts[app].ID), body: v["body"], query: query}
		if got := sign(v["secret"], r.text(path, query)); got != v["auth_signature"] {
			t.Errorf("%s: signature %s, want %s", v["id"], got, v["auth_signature"])
		}
		if status, text := g.do(t, r); status != 401 || !strings.HasPrefix(text, "Timestamp expired") {
			t.Errorf("%s with its own time: %d %s", v["id"], status, text)
		}
		query["auth_timestamp"] = fmt.Sprint(time.Now().Unix())
		if status, text := g.do(t, r); status != 200 {
			t.Errorf("%s with the time of today: %d %s", v["id"], status, text)
		}
	}
	if tried != 10 {
		t.Errorf("%d vectors", tried)
	}
}

func signatureNegative(t *testing.T, g *gateway) {
	_, vectors := loadVectors(t)
	h1, h6 := find(t, vectors, "H1"), find(t, vectors, "H6")
	now := fmt.Sprint(time.Now().Unix())

	_, _, query := h1.parts()
	query["auth_timestamp"] = now
	changed := strings.Replace(h1["body"], "data", "dato", 1)
	g.expect(t, request{app: "plain", path: "/events", body: changed, query: query}, 401, "Invalid body_md5")

	key, secret := h1["key"], h1["secret"]
	unsorted := "POST\n/apps/3/events\nauth_timestamp=" + now + "&auth_key=" + key + "&auth_version=1.0&body_md5=" + h1["body_md5"]
	forge := func(r request, signature string) {
		t.Helper()
		r.wire = func(v url.Values) { v.Set("auth_signature", signature) }
		g.expect(t, r, 401, "Invalid signature")
	}
	event := request{app: "plain", path: "/events", body: h1["body"], query: query}
	forge(event, sign(secret, unsorted))
	right := (&request{method: "POST"}).text("/apps/3/events", query)
	forge(event, strings.ToUpper(sign(secret, right)))

	without := "GET\n/apps/3/channels\nauth_key=" + key + "&auth_timestamp=" + now + "&auth_version=1.0"
	forge(request{app: "plain", method: get, path: "/channels", query: map[string]string{"auth_timestamp": now, "body_md5": h6["body_md5"]}}, sign(secret, without))
}
