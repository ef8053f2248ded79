package rest_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// get decodes the answer to a request of app 1 that must succeed.
func get[T any](t *testing.T, s *apitest.Server, path string) (v T) {
	t.Helper()
	a := s.Do(apitest.Token1, "GET", path, "")
	must(t, a, 200)
	a.JSON(t, &v)
	return v
}

// walk follows the header Link from the first page to the last, and gives what each
// item is called.
func walk[T any](t *testing.T, s *apitest.Server, path string, name func(T) string) (all []string) {
	t.Helper()
	for pages := 0; path != ""; pages++ {
		if pages == 100 {
			t.Fatalf("the list has no end: %q", all)
		}
		a := s.Do(apitest.Token1, "GET", path, "")
		must(t, a, 200)
		var p wire.Page[T]
		a.JSON(t, &p)
		for _, item := range p.Data {
			all = append(all, name(item))
		}
		path = next(t, a, p.NextCursor)
	}
	return all
}

func channelNames(t *testing.T, s *apitest.Server, path string) string {
	t.Helper()
	return strings.Join(walk(t, s, path, func(c wire.OccupiedChannel) string { return string(c.Name) }), " ")
}

// eventually waits for what comes a moment after a connection has ended.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestOccupiedChannels(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	if a := s.Do(apitest.Token1, "GET", "/v1/channels", ""); a.Status != 200 || string(a.Body) != `{"data":[]}` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	ana, ben := s.Visit(), s.Visit()
	ana.SignIn("ana")
	ana.Subscribe("#server-to-user-ana", "")
	for _, c := range []diaphone.ChannelName{"news", "news-2", "private-x", "private-encrypted-x", "a;b=c@d.e,f"} {
		ana.Subscribe(c, "")
	}
	ben.Subscribe("news", "")
	ana.Subscribe("presence-room", `{"user_id":"ana"}`)
	ben.Subscribe("presence-room", `{"user_id":"ana"}`)
	a := s.Do(apitest.Token1, "GET", "/v1/channels", "")
	if want := `{"data":[{"name":"a;b=c@d.e,f","kind":"public","subscribers":1},{"name":"news","kind":"public","subscribers":2},` +
		`{"name":"news-2","kind":"public","subscribers":1},{"name":"presence-room","kind":"presence","subscribers":2,"members":1},` +
		`{"name":"private-encrypted-x","kind":"encrypted","subscribers":1},{"name":"private-x","kind":"private","subscribers":1}]}`; string(a.Body) != want {
		t.Errorf("%s\nwant %s", a.Body, want)
	}
	for path, want := range map[string]string{
		"?prefix=":              "a;b=c@d.e,f news news-2 presence-room private-encrypted-x private-x",
		"?limit=1":              "a;b=c@d.e,f news news-2 presence-room private-encrypted-x private-x",
		"?limit=5":              "a;b=c@d.e,f news news-2 presence-room private-encrypted-x private-x",
		"?limit=6":              "a;b=c@d.e,f news news-2 presence-room private-encrypted-x private-x",
		"?prefix=news&limit=1":  "news news-2",
		"?prefix=private-":      "private-encrypted-x private-x",
		"?prefix=a%3Bb&limit=2": "a;b=c@d.e,f",
		"?prefix=NEWS":          "",
	} {
		if got := channelNames(t, s, "/v1/channels"+path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if a := s.Do(apitest.Token2, "GET", "/v1/channels", ""); string(a.Body) != `{"data":[]}` {
		t.Errorf("app 2 sees %s", a.Body)
	}
	ana.Leave()
	eventually(t, "only Ben is left", func() bool { return channelNames(t, s, "/v1/channels") == "news presence-room" })
}

// Pages hold while channels come and go: who stays is listed, and nothing twice.
func TestPagesOfChannelsHold(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	v, gone := s.Visit(), s.Visit()
	for _, c := range []diaphone.ChannelName{"b", "d", "f"} {
		v.Subscribe(c, "")
	}
	gone.Subscribe("c", "")
	first := get[wire.Page[wire.OccupiedChannel]](t, s, "/v1/channels?limit=2")
	if len(first.Data) != 2 || first.Data[1].Name != "c" {
		t.Fatalf("%+v", first)
	}
	gone.Leave() // the cursor points behind a channel that is no more
	v.Subscribe("a", "")
	v.Subscribe("e", "")
	eventually(t, "c is empty", func() bool { return !get[wire.Channel](t, s, "/v1/channels/c").Occupied })
	if got := channelNames(t, s, "/v1/channels?limit=2&cursor="+first.NextCursor); got != "d e f" {
		t.Errorf("the second page on: %s", got)
	}
}

func TestOneChannel(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	v := s.Visit()
	v.SignIn("ana ñ")
	v.Subscribe("news", "")
	v.Subscribe("presence-cache-room", `{"user_id":"ana"}`)
	v.Subscribe("#server-to-user-ana ñ", "")
	for _, c := range []string{"presence-cache-room", "cache-empty-room", "news"} {
		must(t, s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"channels":["`+c+`"]},"event":{"name":"topic","data":{"n":[1]}}}`), 202)
	}
	for path, want := range map[string]string{
		"nobody":              `{"name":"nobody","kind":"public","cache":false,"occupied":false,"subscribers":0}`,
		"presence-nobody":     `{"name":"presence-nobody","kind":"presence","cache":false,"occupied":false,"subscribers":0,"members":0}`,
		"private-encrypted-x": `{"name":"private-encrypted-x","kind":"encrypted","cache":false,"occupied":false,"subscribers":0}`,
		"cache-none":          `{"name":"cache-none","kind":"public","cache":true,"occupied":false,"subscribers":0}`,
		"cache-empty-room": `{"name":"cache-empty-room","kind":"public","cache":true,"occupied":false,"subscribers":0,` +
			`"cached_event":{"name":"topic","data":"{\"n\":[1]}","ttl":1800}}`,
		"presence-cache-room": `{"name":"presence-cache-room","kind":"presence","cache":true,"occupied":true,"subscribers":1,"members":1,` +
			`"cached_event":{"name":"topic","data":"{\"n\":[1]}","ttl":1800}}`,
		"%23server-to-user-ana%20%C3%B1": `{"name":"#server-to-user-ana ñ","kind":"user","cache":false,"occupied":true,"subscribers":1}`,
	} {
		if a := s.Do(apitest.Token1, "GET", "/v1/channels/"+path, ""); a.Status != 200 || string(a.Body) != want {
			t.Errorf("%s: %d %s\nwant %s", path, a.Status, a.Body, want)
		}
	}
	news := get[wire.Channel](t, s, "/v1/channels/news")
	if h := news.History; h == nil || h.Events != 5 || h.For != 300 || !strings.HasSuffix(h.Position, ":1") {
		t.Errorf("%+v", news.History)
	}
	if p := past(t, s, apitest.Token1, "/v1/channels/news/events?since="+news.History.Position); len(p.Data) != 0 || !p.Complete {
		t.Errorf("since its position: %+v", p)
	}
	if a := s.Do(apitest.Token2, "GET", "/v1/channels/cache-empty-room", ""); strings.Contains(string(a.Body), "cached_event") {
		t.Errorf("app 2 sees %s", a.Body)
	}
}

func TestMembers(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	var want []string
	for i, id := range []string{"zoe", "ana", "7", "ben & co/x", "ñ"} {
		v := s.Visit()
		v.Subscribe("presence-room", fmt.Sprintf(`{"user_id":%q,"user_info":{"n":%d}}`, id, i))
		want = append(want, fmt.Sprintf(`%s {"n":%d}`, id, i))
	}
	s.Visit().Subscribe("presence-room", `{"user_id":"ana","user_info":"another"}`) // what the first said stays
	slices.Sort(want)
	for _, limit := range []int{1, 2, 4, 5, 6, 1000} {
		got := walk(t, s, fmt.Sprintf("/v1/channels/presence-room/members?limit=%d", limit), func(m wire.Member) string { return string(m.UserID) + " " + string(m.Info) })
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q, want %q", limit, got, want)
		}
	}
	if a := s.Do(apitest.Token1, "GET", "/v1/channels/presence-none/members", ""); a.Status != 200 || string(a.Body) != `{"data":[]}` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(apitest.Token2, "GET", "/v1/channels/presence-room/members", ""); string(a.Body) != `{"data":[]}` {
		t.Errorf("app 2 sees %s", a.Body)
	}
}

// What a backend says of a member goes out as it said it, though we would not take
// such JSON ourselves.
func TestInfoOfMembersIsTheBackends(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	for id, info := range map[string]string{"a": `{"k":1,"k":2}`, "b": `"\ud800"`, "c": `1e400`, "d": `[null]`, "e": `null`} {
		s.Visit().Subscribe("presence-room", `{"user_id":"`+id+`","user_info":`+info+`}`)
	}
	s.Visit().Subscribe("presence-room", `{"user_id":"f"}`)
	a := s.Do(apitest.Token1, "GET", "/v1/channels/presence-room/members", "")
	must(t, a, 200)
	for _, part := range []string{`{"user_id":"a","info":{"k":1,"k":2}}`, `{"user_id":"c","info":1e400}`, `{"user_id":"d","info":[null]}`, `{"user_id":"f"}`} {
		if !strings.Contains(string(a.Body), part) {
			t.Errorf("%s lacks %s", a.Body, part)
		}
	}
}

func TestLiveUsers(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const id = "Ana / Ñ?#"
	path := "/v1/users/" + url.PathEscape(id)
	is := func(live bool, connections, channels int) {
		t.Helper()
		if u := get[wire.User](t, s, path); u != (wire.User{ID: id, Live: live, Connections: connections, PresenceChannels: channels}) {
			t.Errorf("%+v", u)
		}
	}
	is(false, 0, 0)
	one, two, member, other := s.Visit(), s.Visit(), s.Visit(), s.Visit()
	member.Subscribe("presence-a", `{"user_id":"`+id+`"}`)
	is(true, 0, 1)
	one.SignIn(id)
	two.SignIn(id)
	other.SignIn("ben")
	member.Subscribe("presence-b", `{"user_id":"`+id+`"}`)
	one.Subscribe("presence-b", `{"user_id":"`+id+`"}`)
	is(true, 2, 2)
	disconnect := func(token, want string) {
		t.Helper()
		if a := s.Do(token, "POST", path+"/disconnect", ""); a.Status != 200 || string(a.Body) != want {
			t.Errorf("%d %s, want %s", a.Status, a.Body, want)
		}
	}
	disconnect(apitest.Token2, `{"disconnected":0}`)
	is(true, 2, 2)
	disconnect(apitest.Token1, `{"disconnected":2}`)
	for _, v := range []*apitest.Visitor{one, two} {
		if code := v.CloseCode(); code != 4009 {
			t.Errorf("closed with %d", code)
		}
		v.Leave()
	}
	eventually(t, "the connections are gone", func() bool { return get[wire.User](t, s, path).Connections == 0 })
	is(true, 0, 2) // a member is not signed in
	member.Ping()
	other.Ping()
	disconnect(apitest.Token1, `{"disconnected":0}`)
	member.Leave()
	eventually(t, "the user is gone", func() bool { return !get[wire.User](t, s, path).Live })
}

func TestLiveQuestionsThatAreRefused(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	v := s.Visit()
	for _, c := range []diaphone.ChannelName{"a", "b"} {
		v.Subscribe(c, "")
	}
	for _, id := range []string{"ana", "ben"} {
		v := s.Visit()
		v.Subscribe("presence-a", `{"user_id":"`+id+`"}`)
		v.Subscribe("presence-b", `{"user_id":"`+id+`"}`)
	}
	ofChannels := get[wire.Page[wire.OccupiedChannel]](t, s, "/v1/channels?limit=1").NextCursor
	ofMembers := get[wire.Page[wire.Member]](t, s, "/v1/channels/presence-a/members?limit=1").NextCursor
	ofDevices := "AQID"
	long := strings.Repeat("x", 165)
	for _, r := range []struct {
		path string
		refusal
	}{
		{"/v1/channels?filter=a", refusal{"unknown parameter", "", 422, "invalid", "/filter", "prefix, cursor, limit", nil}},
		{"/v1/channels?prefx=a", refusal{"misspelt parameter", "", 422, "invalid", "/prefx", `did you mean \"prefix\"?`, nil}},
		{"/v1/channels?prefix=a&prefix=b", refusal{"two prefixes", "", 422, "invalid", "/prefix", "2 times", nil}},
		{"/v1/channels?prefix=a%20b", refusal{"illegal prefix", "", 422, "invalid", "/prefix", "_-=@,.;", nil}},
		{"/v1/channels?prefix=" + long, refusal{"long prefix", "", 422, "invalid", "/prefix", "164", nil}},
		{"/v1/channels?prefix=%23server-to-user-%07", refusal{"prefix of an illegal user", "", 422, "invalid", "/prefix", "printed", nil}},
		{"/v1/channels?limit=0", refusal{"limit 0", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"/v1/channels?limit=1001", refusal{"limit 1001", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"/v1/channels?limit=-1", refusal{"limit below zero", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"/v1/channels?limit=", refusal{"no limit", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"/v1/channels?cursor=", refusal{"empty cursor", "", 422, "invalid", "/cursor", "next_cursor", nil}},
		{"/v1/channels?cursor=!!", refusal{"no base64", "", 422, "invalid", "/cursor", "begin without one", nil}},
		{"/v1/channels?cursor=AAAA", refusal{"short cursor", "", 422, "invalid", "/cursor", "begin without one", nil}},
		{"/v1/channels?cursor=YWJjZGVmZ2g", refusal{"invented cursor", "", 422, "invalid", "/cursor", "begin without one", nil}},
		{"/v1/channels?cursor=" + ofMembers, refusal{"cursor of members", "", 422, "invalid", "/cursor", "begin without one", nil}},
		{"/v1/channels?cursor=" + ofDevices, refusal{"cursor of devices", "", 422, "invalid", "/cursor", "begin without one", nil}},
		{"/v1/channels?cursor=" + long + long + long + long + long + long + long, refusal{"long cursor", "", 422, "invalid", "/cursor", "next_cursor", nil}},

		{"/v1/channels/a%20b", refusal{"illegal channel", "", 422, "invalid", "/channel", "_-=@,.;", nil}},
		{"/v1/channels/" + long, refusal{"long channel", "", 422, "invalid", "/channel", "164", nil}},
		{"/v1/channels/a%2Fb", refusal{"channel with a slash", "", 422, "invalid", "/channel", "_-=@,.;", nil}},
		{"/v1/channels/%FF", refusal{"channel not UTF-8", "", 422, "invalid", "/channel", "_-=@,.;", nil}},
		{"/v1/channels/news?info=cache", refusal{"parameter of Pusher's", "", 422, "invalid", "/info", "there is no query parameter", nil}},

		{"/v1/channels/news/members", refusal{"members of no presence channel", "", 404, "not_found", "-", "presence-", nil}},
		{"/v1/channels/presence-a%20b/members", refusal{"members of an illegal channel", "", 422, "invalid", "/channel", "_-=@,.;", nil}},
		{"/v1/channels/presence-a/members?limit=1001", refusal{"limit of members", "", 422, "invalid", "/limit", "1 to 1000", nil}},
		{"/v1/channels/presence-a/members?prefix=a", refusal{"filter of another list", "", 422, "invalid", "/prefix", "cursor, limit", nil}},
		{"/v1/channels/presence-a/members?cursor=" + ofChannels, refusal{"cursor of channels", "", 422, "invalid", "/cursor", "begin without one", nil}},
		{"/v1/channels/presence-b/members?cursor=" + ofMembers, refusal{"cursor of another channel", "", 422, "invalid", "/cursor", "begin without one", nil}},

		{"/v1/users/" + strings.Repeat("x", 129), refusal{"long user", "", 422, "invalid", "/user_id", "1 to 128", nil}},
		{"/v1/users/a%07", refusal{"unprintable user", "", 422, "invalid", "/user_id", "printed", nil}},
		{"/v1/users/%FF", refusal{"user not UTF-8", "", 422, "invalid", "/user_id", "UTF-8", nil}},
		{"/v1/users/ana?verbose=1", refusal{"parameter of a user", "", 422, "invalid", "/verbose", "there is no query parameter", nil}},
	} {
		t.Run(r.name, func(t *testing.T) { r.check(t, s.Do(apitest.Token1, "GET", r.path, "")) })
	}
	refusal{"", "", 422, "invalid", "/user_id", "printed", nil}.check(t, s.Do(apitest.Token1, "POST", "/v1/users/%01/disconnect", ""))
}
