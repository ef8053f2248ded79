package channels

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPublish(t *testing.T) {
	h := open(t)
	a, b := h.join(), h.join()
	for _, v := range []*visitor{a, b} {
		v.subscribe("news")
		v.subscribe("private-x")
	}
	h.publish(`{"name":"e","data":"{\"a\":  \"<&>ü\u2028\"}","channels":["news"]}`)
	a.expect("e", "news", "{\"a\":  \"<&>ü\u2028\"}")
	h.publish(`{"name":"e","data":"plain text","channels":["news","private-x","nobody-here"]}`)
	a.expect("e", "news", "plain text")
	a.expect("e", "private-x", "plain text")
	h.publish(`{"name":"e","data":"x","channel":"news"}`)
	a.expect("e", "news", "x")
	h.publish(`{"name":"e","data":"x","channel":"news","channels":["private-x"]}`)
	a.expect("e", "private-x", "x")
	h.publish(`{"name":"e","data":"twice","channels":["news","news"]}`)
	a.expect("e", "news", "twice")
	h.publish(`{"name":"e","data":{"an" : ["object", 1]},"channels":["news"]}`)
	a.expect("e", "news", `{"an":["object",1]}`)
	h.publish(`{"name":"e","data":12,"channels":["news"],"socket_id":"` + string(a.id) + `"}`)
	a.expectNothing()
	h.publish(`{"name":"e","data":"","channels":["news"],"socket_id":"1.2","unknown":[]}`)
	a.expect("e", "news", "")
}

func TestEventsThatAreRefused(t *testing.T) {
	h := open(t)
	v := h.join()
	v.subscribe("news")
	with := func(name, data, channels string) string {
		return fmt.Sprintf(`{"name":%q,"data":%q,"channels":[%s]}`, name, data, channels)
	}
	names := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`"c%d"`, i)
		}
		return strings.Join(all, ",")
	}
	const news = `"news"`
	for name, c := range map[string]struct {
		body   string
		status int
		part   string
	}{
		"10,240 bytes":             {with("e", strings.Repeat("x", 10240), `"other"`), 200, "{}"},
		"10,241 bytes":             {with("e", strings.Repeat("x", 10241), news), 413, "allowed maximum (10240 bytes)"},
		"100 channels":             {with("e", "", names(100)), 200, "{}"},
		"101 channels":             {with("e", "", names(101)), 400, "at most 100 channels"},
		"164 characters":           {with("e", "", `"`+strings.Repeat("c", 164)+`"`), 200, "{}"},
		"165 characters":           {with("e", "", `"`+strings.Repeat("c", 165)+`"`), 400, "164"},
		"illegal name":             {with("e", "", `"news","with space"`), 400, "letters, digits"},
		"name in unicode":          {with("e", "", `"näws"`), 400, "letters, digits"},
		"empty name":               {with("e", "", `""`), 400, "1 to 164"},
		"reserved name":            {with("e", "", `"#news"`), 400, "letters, digits"},
		"all legal punctuation":    {with("e", "", `"_-=@,.;"`), 200, "{}"},
		"user channel":             {with("e", "", `"#server-to-user-7"`), 200, "{}"},
		"event of 200":             {with(strings.Repeat("e", 200), "", `"other"`), 200, "{}"},
		"event of 201":             {with(strings.Repeat("e", 201), "", news), 400, "event name"},
		"event of the protocol":    {with("pusher:error", "", news), 400, "belong to the protocol"},
		"internal event":           {with("pusher_internal:x", "", news), 400, "belong to the protocol"},
		"no event name":            {`{"data":"","channels":["news"]}`, 400, "event name"},
		"no data":                  {`{"name":"e","channels":["news"]}`, 400, "data"},
		"null data":                {`{"name":"e","data":null,"channels":["news"]}`, 400, "data"},
		"no channels":              {`{"name":"e","data":""}`, 400, "channels"},
		"name of another type":     {`{"name":7,"data":"","channels":["news"]}`, 400, "JSON"},
		"channels of another type": {`{"name":"e","data":"","channels":"news"}`, 400, "JSON"},
		"malformed socket id":      {`{"name":"e","data":"","channels":["news"],"socket_id":"abc"}`, 400, "socket id"},
		"socket id and a newline":  {`{"name":"e","data":"","channels":["news"],"socket_id":"1.2\n"}`, 400, "socket id"},
		"not JSON":                 {`{`, 400, "JSON"},
		"an array":                 {`[]`, 400, "JSON"},
		"empty":                    {``, 400, "JSON"},
		"not UTF-8":                {"{\"name\":\"\xff\"}", 400, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := h.do(request{path: "/apps/1/events", body: c.body})
			if status != c.status || !strings.Contains(text, c.part) {
				t.Errorf("%d %s; want %d with %q", status, text, c.status, c.part)
			}
		})
	}
	v.expectNothing()
}

func TestBatch(t *testing.T) {
	h := open(t)
	a, b := h.join(), h.join()
	a.subscribe("news")
	b.subscribe("news")
	post := func(body string) (int, string) {
		t.Helper()
		return h.do(request{path: "/apps/1/batch_events", body: body})
	}
	status, text := post(`{"batch":[{"channel":"news","name":"one","data":"1"},{"channel":"news","name":"two","data":"2","socket_id":"` + string(a.id) + `"},{"channel":"x","name":"three","data":"3"}]}`)
	if status != http.StatusOK || text != "{}" {
		t.Errorf("%d %s", status, text)
	}
	a.expect("one", "news", "1")
	b.expect("one", "news", "1")
	b.expect("two", "news", "2")
	status, text = post(`{"batch":[{"channel":"news","name":"e","data":"","info":"subscription_count,user_count"},{"channel":"x","name":"e","data":""}]}`)
	if status != http.StatusOK || text != `{"batch":[{"subscription_count":2},{}]}` {
		t.Errorf("%d %s", status, text)
	}
	a.expect("e", "news", "")
	one := `{"channel":"news","name":"e","data":"x"}`
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"none":             {`{"batch":[]}`, 400},
		"no batch":         {`{}`, 400},
		"eleven":           {`{"batch":[` + one + strings.Repeat(","+one, 10) + `]}`, 400},
		"one is illegal":   {`{"batch":[` + one + `,{"channel":"a b","name":"e","data":"x"}]}`, 400},
		"one is too large": {`{"batch":[` + one + `,{"channel":"a","name":"e","data":"` + strings.Repeat("x", 10241) + `"}]}`, 413},
	} {
		if status, text := post(c.body); status != c.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	a.expectNothing() // of a batch with one fault nothing goes out
	if status, text := post(`{"batch":[` + one + strings.Repeat(","+one, 9) + `]}`); status != http.StatusOK {
		t.Errorf("ten: %d %s", status, text)
	}
	for range 10 {
		a.expect("e", "news", "x")
	}
}

func TestInfoOfAnEvent(t *testing.T) {
	h := open(t)
	a := h.join()
	a.subscribe("news")
	a.ask("presence-x", `{"user_id":"1"}`)
	a.hear()
	for info, want := range map[string]string{
		"":                              `{}`,
		"user_count":                    `{"channels":{"news":{},"nobody":{},"presence-x":{"user_count":1}}}`,
		"subscription_count,user_count": `{"channels":{"news":{"subscription_count":1},"nobody":{"subscription_count":0},"presence-x":{"subscription_count":1,"user_count":1}}}`,
		"made_up":                       `{"channels":{"news":{},"nobody":{},"presence-x":{}}}`,
	} {
		status, text := h.do(request{path: "/apps/1/events", body: `{"name":"e","data":"","channels":["news","presence-x","nobody"],"info":"` + info + `"}`})
		if status != http.StatusOK || text != want {
			t.Errorf("%s: %d %s, want %s", info, status, text, want)
		}
	}
}

func TestQueries(t *testing.T) {
	h := open(t)
	a, b := h.join(), h.join()
	a.signIn(`{"id":"7"}`)
	a.hear()
	a.subscribe("#server-to-user-7")
	for _, v := range []*visitor{a, b} {
		v.subscribe("news")
		v.subscribe("cache-x")
		v.hear() // pusher:cache_miss
		v.ask("presence-x", `{"user_id":7}`)
		v.hear()
	}
	for _, c := range []struct {
		path, info, prefix string
		status             int
		answer             string
	}{
		{"/channels", "", "", 200, `{"channels":{"cache-x":{},"news":{},"presence-x":{}}}`},
		{"/channels", "", "nobody", 200, `{"channels":{}}`},
		{"/channels", "user_count", "presence-", 200, `{"channels":{"presence-x":{"user_count":1}}}`},
		{"/channels", "user_count", "", 400, ""},
		{"/channels", "user_count", "news", 400, ""},
		{"/channels", "made_up", "presence-", 400, ""},
		{"/channels/news", "", "", 200, `{"occupied":true}`},
		{"/channels/nobody", "", "", 200, `{"occupied":false}`},
		{"/channels/nobody", "subscription_count", "", 200, `{"occupied":false,"subscription_count":0}`},
		{"/channels/news", "subscription_count", "", 200, `{"occupied":true,"subscription_count":2}`},
		{"/channels/presence-x", "subscription_count,user_count", "", 200, `{"occupied":true,"subscription_count":2,"user_count":1}`},
		{"/channels/news", "user_count", "", 400, ""},
		{"/channels/cache-x", "cache", "", 200, `{"cache":null,"occupied":true}`},
		{"/channels/news", "cache", "", 400, ""},
		{"/channels/news", "made_up", "", 400, ""},
		{"/channels/a%20b", "", "", 400, ""},
		{"/channels/presence-x/users", "", "", 200, `{"users":[{"id":"7"}]}`},
		{"/channels/presence-none/users", "", "", 200, `{"users":[]}`},
		{"/channels/news/users", "", "", 400, ""},
		{"/channels/news/stats", "", "", 200, `{"connection_count":2,"occupied":true}`},
		{"/channels/presence-x/stats", "", "", 200, `{"connection_count":2,"occupied":true,"user_count":1}`},
		{"/channels/nobody/stats", "", "", 200, `{"connection_count":0,"occupied":false}`},
		{"/channels/a%20b/stats", "", "", 400, ""},
		{"/channels/news/made_up", "", "", 404, ""},
	} {
		query := map[string]string{}
		if c.info != "" {
			query["info"] = c.info
		}
		if c.prefix != "" {
			query["filter_by_prefix"] = c.prefix
		}
		status, text := h.do(request{method: http.MethodGet, path: "/apps/1" + c.path, query: query})
		if status != c.status || c.answer != "" && text != c.answer {
			t.Errorf("%s %s %s: %d %s; want %d %s", c.path, c.info, c.prefix, status, text, c.status, c.answer)
		}
	}
}

func TestTerminate(t *testing.T) {
	h := open(t)
	signed, member, other := h.join(), h.join(), h.join()
	signed.signIn(`{"id":"u@1"}`)
	signed.hear()
	member.ask("presence-x", `{"user_id":"u@1"}`)
	member.hear()
	other.signIn(`{"id":"2"}`)
	other.hear()
	for _, body := range []string{"{}", ""} {
		if status, text := h.do(request{path: "/apps/1/users/u%401/terminate_connections", body: body}); status != 200 || text != "{}" {
			t.Errorf("%d %s", status, text)
		}
	}
	signed.expectClose(codeUnauthorised)
	member.expectNothing()
	other.expectNothing()
}

func TestTheDeprecatedWayToPublish(t *testing.T) {
	h := open(t)
	a, b := h.join(), h.join()
	a.subscribe("cache-news")
	a.hear()
	b.subscribe("cache-news")
	b.hear()
	post := func(channel, body string, query map[string]string) (int, string) {
		t.Helper()
		return h.do(request{path: "/apps/1/channels/" + channel + "/events", body: body, query: query})
	}
	for _, body := range []string{`{"a":  1}`, "plain text", ""} {
		if status, text := post("cache-news", body, map[string]string{"name": "e", "socket_id": string(b.id)}); status != 202 || text != "" {
			t.Errorf("%d %q", status, text)
		}
		a.expect("e", "cache-news", body)
	}
	b.expectNothing()
	for name, c := range map[string]struct {
		channel, body string
		query         map[string]string
		status        int
	}{
		"no name":       {"news", "x", nil, 400},
		"bad channel":   {"a%20b", "x", map[string]string{"name": "e"}, 400},
		"bad socket":    {"news", "x", map[string]string{"name": "e", "socket_id": "x"}, 400},
		"not UTF-8":     {"news", "\xff", map[string]string{"name": "e"}, 400},
		"of a protocol": {"news", "x", map[string]string{"name": "pusher:error"}, 400},
		"10,241 bytes":  {"news", strings.Repeat("x", 10241), map[string]string{"name": "e"}, 413},
	} {
		if status, text := post(c.channel, c.body, c.query); status != c.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	a.expectNothing()
}

// inQuery publishes an event to the channels, all of it in the query. An array is
// signed item by item, in order.
func (h *house) inQuery(channels ...string) (status int, body string) {
	h.t.Helper()
	return h.do(request{
		path:  "/apps/1/events",
		query: map[string]string{"name": "e", "data": "1", "channels[]": strings.Join(channels, "&channels[]=")},
		spoil: func(v url.Values) { v["channels[]"] = channels },
	})
}

// Without a body, the parameters of an event may stand in the query.
func TestAnEventInTheQuery(t *testing.T) {
	h := open(t)
	a := h.join()
	a.subscribe("news")
	post := func(query map[string]string) (int, string) {
		t.Helper()
		return h.do(request{path: "/apps/1/events", query: query})
	}
	for _, at := range []string{"channel", "channels[]"} {
		status, text := post(map[string]string{"name": "e", "data": `{"a": "b c+&ü"}`, at: "news", "info": "subscription_count"})
		if status != 200 || text != `{"channels":{"news":{"subscription_count":1}}}` {
			t.Errorf("%d %s", status, text)
		}
		a.expect("e", "news", `{"a": "b c+&ü"}`)
	}
	for _, channels := range [][]string{{"news", "sports"}, {"sports", "nobody", "news", "news"}} {
		if status, text := h.inQuery(channels...); status != 200 || text != "{}" {
			t.Errorf("%v: %d %s", channels, status, text)
		}
		a.expect("e", "news", "1")
		a.expectNothing()
	}
	if status, text := h.inQuery("news", "a b"); status != 400 || !strings.Contains(text, "a b") {
		t.Errorf("one is illegal: %d %s", status, text)
	}
	if status, text := h.inQuery(strings.Split(strings.Repeat("c", 101), "")...); status != 200 { // one channel, 101 times
		t.Errorf("one channel: %d %s", status, text)
	}
	if status, text := h.do(request{path: "/apps/1/events", query: map[string]string{"name": "e", "data": "1"}, spoil: func(v url.Values) {
		v["channels[]"] = []string{"news", "sports"}
	}}); status != 401 {
		t.Errorf("channels that are not signed: %d %s", status, text)
	}
	if status, _ := post(map[string]string{"name": "e", "data": "1", "channel": "news", "socket_id": string(a.id)}); status != 200 {
		t.Error(status)
	}
	for _, query := range []map[string]string{
		{"name": "e", "channel": "news"}, {"name": "e", "data": "1"}, {"name": "", "data": "1", "channel": "news"},
	} {
		if status, text := post(query); status != 400 {
			t.Errorf("%v: %d %s", query, status, text)
		}
	}
	a.expectNothing()
}
