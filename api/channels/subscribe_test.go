package channels

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestEveryKindOfChannel(t *testing.T) {
	h := open(t)
	v := h.join()
	for _, channel := range []string{"pub", "private-x", "private-encrypted-x", "private-", "_-=@,.;", strings.Repeat("c", 164)} {
		v.ask(channel, "")
		v.expect("pusher_internal:subscription_succeeded", channel, "{}")
		v.ask(channel, "")
		v.expectError(nil, "Existing subscription to channel "+channel)
		h.publish(`{"name":"e","data":"1","channel":"` + channel + `"}`)
		v.expect("e", channel, "1")
		v.emit("pusher:unsubscribe", map[string]string{"channel": channel})
		v.expectNothing()
		h.publish(`{"name":"e","data":"2","channel":"` + channel + `"}`)
		v.emit("pusher:unsubscribe", map[string]string{"channel": channel})
		v.expectError(nil, "No current subscription to channel "+channel)
		v.ask(channel, "")
		v.expect("pusher_internal:subscription_succeeded", channel, "{}")
	}
}

// The data of a subscription comes as an object, or as a string that holds one.
func TestDataAsAString(t *testing.T) {
	v := open(t).join()
	v.say(`{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}`)
	v.expect("pusher_internal:subscription_succeeded", "a", "{}")
	v.say(`{"event":"pusher:subscribe","data":{"channel":"b","auth":null,"channel_data":null}}`)
	v.expect("pusher_internal:subscription_succeeded", "b", "{}")
}

func TestSubscriptionsThatAreRefused(t *testing.T) {
	h := open(t)
	auth := func(key, secret, text string) string { return key + ":" + sign(secretOf(secret), text) }
	for name, c := range map[string]struct {
		channel string
		auth    func(v *visitor) any
		data    any
		part    string
	}{
		"no auth":           {"private-x", func(*visitor) any { return nil }, nil, "Auth info required to subscribe to private-x"},
		"auth a number":     {"private-x", func(*visitor) any { return 7 }, nil, "Auth info required"},
		"auth an array":     {"presence-x", func(*visitor) any { return []int{} }, `{"user_id":"1"}`, "Auth info required"},
		"wrong key":         {"private-x", func(v *visitor) any { return auth("key2", "secret2", string(v.id)+":private-x") }, nil, "Invalid key in subscription auth data: 'key2'"},
		"wrong secret":      {"private-x", func(v *visitor) any { return auth("app-key", "x", string(v.id)+":private-x") }, nil, "Invalid signature: Expected HMAC SHA256 hex digest of"},
		"no signature":      {"private-x", func(*visitor) any { return "app-key" }, nil, "Invalid signature"},
		"another socket's":  {"private-x", func(*visitor) any { return auth("app-key", "app-secret", "1.2:private-x") }, nil, "Invalid signature"},
		"another channel's": {"private-x", func(v *visitor) any { return auth("app-key", "app-secret", string(v.id)+":private-y") }, nil, "Invalid signature"},
		"upper case": {"private-x", func(v *visitor) any {
			return "app-key:" + strings.ToUpper(sign("app-secret", string(v.id)+":private-x"))
		}, nil, "Invalid signature"},
		"channel_data not signed": {"private-x", func(v *visitor) any { return auth("app-key", "app-secret", string(v.id)+":private-x") }, `{"user_id":"1"}`, "Invalid signature"},
		"channel_data an object":  {"presence-x", func(*visitor) any { return "app-key:x" }, map[string]string{"user_id": "1"}, "Invalid channel_data"},
		"no channel_data":         {"presence-x", func(v *visitor) any { return auth("app-key", "app-secret", string(v.id)+":presence-x") }, nil, "channel_data is missing"},
		"a space":                 {"a b", func(*visitor) any { return "" }, nil, "Invalid channel name"},
		"empty":                   {"", func(*visitor) any { return "" }, nil, "Invalid channel name"},
		"165 characters":          {strings.Repeat("x", 165), func(*visitor) any { return "" }, nil, "Invalid channel name"},
		"unicode":                 {"é", func(*visitor) any { return "" }, nil, "Invalid channel name"},
		"reserved":                {"#x", func(*visitor) any { return "" }, nil, "Invalid channel name"},
		"a user, not signed in":   {"#server-to-user-1", func(*visitor) any { return "" }, nil, "Not signed in"},
		"nobody's channel":        {"#server-to-user-", func(*visitor) any { return "" }, nil, "Invalid channel name"},
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, forms := range map[string]int{"7": 1, "5": 2} {
				v := h.joinAs("/app/app-key?protocol=" + protocol)
				data := map[string]any{"channel": c.channel, "auth": c.auth(v)}
				if c.data != nil {
					data["channel_data"] = c.data
				}
				v.emit("pusher:subscribe", data)
				v.expectError(nil, c.part)
				for _, event := range []string{"pusher:subscription_error", "pusher_internal:subscription_error"}[:forms] {
					f := v.hear()
					var told struct {
						Type, Error string
						Status      int
					}
					if json.Unmarshal([]byte(f.text()), &told) != nil || f.Event != event || f.Channel != c.channel ||
						!strings.Contains(told.Error, c.part) || told.Type == "" || told.Status < 400 {
						t.Errorf("heard %+v", f)
					}
				}
				v.expectNothing()
			}
		})
	}
}

// channel_data is signed wherever it is sent, also on private channels.
func TestChannelDataOnAPrivateChannel(t *testing.T) {
	v := open(t).join()
	v.ask("private-x", `{"user_id": "zoë", "user_info": {"name": "Ünï ☕"}}`)
	v.expect("pusher_internal:subscription_succeeded", "private-x", "{}")
}

func TestPresence(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{}, diaphone.Limits{PresenceMembers: 3})
	ada, bob, bob2, eve, fay := h.join(), h.join(), h.join(), h.join(), h.join()
	const x = "presence-x"
	ada.ask(x, `{"user_id":10,"user_info":{"name": "Ada <3"}}`)
	ada.expect("pusher_internal:subscription_succeeded", x, `{"presence":{"ids":["10"],"hash":{"10":{"name": "Ada <3"}},"count":1}}`)
	bob.ask(x, `{"user_id":"bob"}`)
	bob.expect("pusher_internal:subscription_succeeded", x, `{"presence":{"ids":["10","bob"],"hash":{"10":{"name": "Ada <3"},"bob":{}},"count":2}}`)
	ada.expect("pusher_internal:member_added", x, `{"user_id":"bob","user_info":{}}`)
	bob2.ask(x, `{"user_id":"bob","user_info":"another text"}`)
	bob2.expect("pusher_internal:subscription_succeeded", x, `{"presence":{"ids":["10","bob"],"hash":{"10":{"name": "Ada <3"},"bob":{}},"count":2}}`)
	eve.ask(x, `{"user_id":"eve","user_info":"just text"}`)
	eve.hear()
	for _, v := range []*visitor{ada, bob, bob2} {
		v.expect("pusher_internal:member_added", x, `{"user_id":"eve","user_info":"just text"}`)
	}
	fay.ask(x, `{"user_id":"fay"}`)
	fay.expectError(nil, "as many members as it may")
	if f := fay.hear(); f.Event != "pusher:subscription_error" || !strings.Contains(f.text(), limitReached) {
		t.Errorf("heard %+v", f)
	}
	bob.emit("pusher:unsubscribe", map[string]string{"channel": x})
	bob.expectNothing()
	ada.expectNothing() // bob's other tab is still there
	_ = bob2.conn.Close()
	ada.expect("pusher_internal:member_removed", x, `{"user_id":"bob"}`)
	eve.expect("pusher_internal:member_removed", x, `{"user_id":"bob"}`)
	fay.ask(x, `{"user_id":"fay","user_info":null}`)
	fay.expect("pusher_internal:subscription_succeeded", x, `{"presence":{"ids":["10","eve","fay"],"hash":{"10":{"name": "Ada <3"},"eve":"just text","fay":{}},"count":3}}`)
}

func TestChannelsOfOneConnection(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{}, diaphone.Limits{Channels: 2})
	v := h.join()
	v.subscribe("a")
	v.subscribe("private-b")
	v.ask("c", "")
	v.expectError(nil, "as many channels as it may (2)")
	if f := v.hear(); f.Event != "pusher:subscription_error" || !strings.Contains(f.text(), limitReached) {
		t.Errorf("heard %+v", f)
	}
	v.emit("pusher:unsubscribe", map[string]string{"channel": "a"})
	v.subscribe("c")
}

func TestPresenceMembersThatAreRefused(t *testing.T) {
	h := open(t)
	info := func(n int) string { return `{"user_id":"1","user_info":"` + strings.Repeat("x", n-2) + `"}` }
	cases := map[string]bool{
		`{"user_id":"` + strings.Repeat("u", 128) + `"}`: true,
		`{"user_id":"` + strings.Repeat("u", 129) + `"}`: false,
		`{"user_id":""}`:     false,
		`{"user_id":null}`:   false,
		`{"user_id":true}`:   false,
		`{"user_id":{}}`:     false,
		`{"user_id":1.5}`:    false,
		`{"user_id":1e400}`:  false,
		`{"user_id":-7}`:     true,
		`{"user_id":"a\nb"}`: false,
		`{}`:                 false,
		`[]`:                 false,
		`7`:                  false,
		`{`:                  false,
		info(1024):           true,
		info(1025):           false,
	}
	for _, data := range slices.Sorted(maps.Keys(cases)) {
		v := h.join()
		v.ask("presence-y", data)
		f := v.hear()
		if ok := f.Event == "pusher_internal:subscription_succeeded"; ok != cases[data] {
			t.Errorf("%.60s: %s %s", data, f.Event, f.Data)
		}
		_ = v.conn.Close()
	}
}

func TestSignIn(t *testing.T) {
	h := open(t)
	v := h.join()
	const data = `{"id":"12345","user_info":{"name":"Ada"}}`
	v.emit("pusher:signin", map[string]string{"user_data": data, "auth": "app-key:" + sign("app-secret", "1.2::user::"+data)})
	v.expectError(nil, "Invalid signature")
	v.signIn(`{"id":7}`)
	v.expectError(nil, "Invalid user_data")
	v.signIn(`{"id":""}`)
	v.expectError(nil, "Invalid user_data")
	for _, list := range []string{`7`, `"u2"`, `[7]`, `[""]`, `{}`, `[null]`} {
		v.signIn(`{"id":"12345","watchlist":` + list + `}`)
		v.expectError(nil, "watchlist should be")
	}
	v.signIn(data)
	f := v.hear()
	want, _ := json.Marshal(map[string]string{"user_data": data})
	if f.Event != "pusher:signin_success" || string(f.Data) != string(want) {
		t.Fatalf("heard %s %s", f.Event, f.Data)
	}
	v.signIn(data) // again is harmless
	v.hear()
	v.signIn(`{"id":"2"}`)
	v.expectError(nil, "another user")

	v.ask("#server-to-user-2", "")
	v.expectError(nil, "Not signed in as the user")
	v.hear()
	v.subscribe("#server-to-user-12345")
	h.publish(`{"name":"hello","data":"{\"x\":1}","channels":["#server-to-user-12345"]}`)
	v.expect("hello", "#server-to-user-12345", `{"x":1}`)
	if one, two := h.hub.User("1", "12345"), h.hub.User("2", "12345"); one.SignedIn != 1 || two.SignedIn != 0 {
		t.Errorf("signed in: %+v, in another app %+v", one, two)
	}
	// Signed in, a client needs no channel_data.
	v.ask("presence-x", "")
	v.expect("pusher_internal:subscription_succeeded", "presence-x", `{"presence":{"ids":["12345"],"hash":{"12345":{"name":"Ada"}},"count":1}}`)
	if status, text := h.do(request{method: http.MethodGet, path: "/apps/1/channels/presence-x/users"}); status != 200 || text != `{"users":[{"id":"12345"}]}` {
		t.Errorf("%d %s", status, text)
	}
}

// The answer to a subscription comes before anything published after it.
func TestNothingBeforeSucceeded(t *testing.T) {
	h := open(t)
	first := h.join()
	first.subscribe("news")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				h.hub.Publish(&testApps[0], []chName{"news"}, eventOf(fmt.Sprint(i)))
			}
		}
	}()
	for range 30 {
		v := h.join()
		v.subscribe("news") // fails when an event comes first
		at := v.hear().text()
		for range 5 {
			var n int
			_, _ = fmt.Sscan(at, &n)
			v.expect("e", "news", fmt.Sprint(n+1))
			at = fmt.Sprint(n + 1)
		}
		_ = v.conn.Close()
	}
	close(stop)
	<-stopped
	_ = first.conn.Close()
}
