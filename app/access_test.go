package app

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// Who may do what. This is the one place that sees every door and the operators' socket
// as they are put together, so the table of all of it is here: a route without a line in
// it fails the test, and so does a caller of whom it is not said what a class gets.

// verdict is what a caller gets: an HTTP status or a close code, or one of these.
type verdict int

const (
	may     verdict = 200 // it is done
	own     verdict = 1   // as may, with what belongs to the caller's own app
	foreign verdict = 2   // nothing of another app's is there: what the route's line says
)

// class is what the routes with the same rule have in common.
type class string

const (
	native    class = "native"    // bearer token
	enrolling class = "enrolling" // the key of an app, which every installation has, in the path
	installed class = "installed" // the secret of a device
	binding   class = "binding"   // the same, and the word of its app's backend that is in the body
	unbinding class = "unbinding" // the same, with the word of another backend
	signed    class = "signed"    // Pusher signature
	socket    class = "socket"    // the key of an app, which every client has, in the path
	public    class = "public"    // no tenant's
	nowhere   class = "nowhere"   // it only says that nothing is here
	astray    class = "astray"    // the same, to WebSockets
	backstage class = "backstage" // who may use the data folder, by the operators' socket
)

// gets says what a caller gets of each class.
type gets map[class]verdict

// everybody gets this of the classes where credentials do not count, unless a caller's
// line says something else.
var everybody = gets{installed: 401, binding: 401, unbinding: 401, enrolling: 404, public: may, nowhere: 404, astray: 4005, backstage: 404}

// caller is somebody with the credentials of an app, or without.
type caller struct {
	name   string
	token  string // bearer
	key    string // of an app, in the path where one belongs
	secret string // signs with the key; empty: no signature
	skew   time.Duration
	local  bool              // comes by the operators' socket
	its    diaphone.DeviceID // a device of app 1 that it may change; empty: none
	gets   gets
}

var callers = []caller{
	{name: "nobody", gets: gets{native: 401, signed: 401, socket: 4001}},
	{name: "a token of nobody's", token: "dp_wrong", gets: gets{native: 401, signed: 401, socket: 4001}},
	{name: "a token of the app", token: "dp_one", gets: gets{native: may, signed: 401, socket: 4001}},
	{name: "a token of another app", token: "dp_two", gets: gets{native: foreign, signed: 401, socket: 4001}},
	{name: "a token of a disabled app", token: "dp_three", gets: gets{native: 403, signed: 401, socket: 4001}},
	{name: "the app's key for a token", token: "key-one", key: "key-one", gets: gets{native: 401, signed: 401, socket: may, enrolling: may}},
	{name: "the app's secret for a token", token: "secret-one", gets: gets{native: 401, signed: 401, socket: 4001}},
	{name: "a signature of the app", key: "key-one", secret: "secret-one", gets: gets{native: 401, signed: may, socket: may, enrolling: may}},
	{name: "a stale signature of the app", key: "key-one", secret: "secret-one", skew: -11 * time.Minute, gets: gets{native: 401, signed: 401, socket: may, enrolling: may}},
	{name: "a signature from the future", key: "key-one", secret: "secret-one", skew: 11 * time.Minute, gets: gets{native: 401, signed: 401, socket: may, enrolling: may}},
	{name: "a signature with another secret", key: "key-one", secret: "secret-two", gets: gets{native: 401, signed: 401, socket: may, enrolling: may}},
	{name: "a signature of another app", key: "key-two", secret: "secret-two", gets: gets{native: 401, signed: 401, socket: own, enrolling: own}},
	{name: "a signature with a disabled key", key: "key-off", secret: "secret-off", gets: gets{native: 401, signed: 401, socket: 4001}},
	{name: "a signature of a disabled app", key: "key-three", secret: "secret-three", gets: gets{native: 401, signed: 401, socket: 4003, enrolling: 403}},
	{name: "the device", token: phoneSecret, gets: gets{native: 401, signed: 401, socket: 4001, installed: may, binding: may, unbinding: 403}},
	{name: "a secret that the device never had", token: voidSecret, gets: gets{native: 401, signed: 401, socket: 4001}},
	{name: "another device of the app", token: tabletSecret, its: "tablet", gets: gets{native: 401, signed: 401, socket: 4001, installed: own, binding: own, unbinding: 403}},
	{name: "a device of another app", token: foreignSecret, gets: gets{native: 401, signed: 401, socket: 4001, installed: own, binding: 403, unbinding: own}},
	{name: "a device of a disabled app", token: disabledSecret, gets: gets{native: 401, signed: 401, socket: 4001, installed: 403, binding: 403, unbinding: 403}},
	{name: "an operator", local: true, gets: gets{public: 404, native: 404, installed: 404, binding: 404, unbinding: 404, signed: 404, socket: 404, nowhere: 404, astray: 404, backstage: may}},
}

// route is one that there is. Values in its path are such as app 1 has; another app has
// none of the same name, unless it says foreign: own, for what every app has or may make.
type route struct {
	is      string // method and path, as the router has them
	class   class
	foreign verdict
	path    string // to call it by; empty: as it is
	body    string
}

const (
	hello = `{"to":{"channels":["news"]},"event":{"name":"e","data":"1"}}`
	event = `{"name":"e","channels":["news"],"data":"1"}`
)

var routes = []route{
	{is: "GET /livez", class: public},
	{is: "GET /readyz", class: public},
	{is: "GET /metrics", class: public},
	{is: "GET /openapi.yaml", class: public},

	{is: "POST /v1/messages", class: native, foreign: own, body: hello},
	{is: "POST /v1/messages/batch", class: native, foreign: own, body: `{"messages":[` + hello + `]}`},
	{is: "GET /v1/messages/:message_id", class: native, foreign: 404},
	{is: "POST /v1/messages/:message_id/cancel", class: native, foreign: 404},
	{is: "GET /v1/messages/:message_id/deliveries", class: native, foreign: 404},
	{is: "GET /v1/messages/:message_id/progress", class: native, foreign: 404},
	{is: "GET /v1/explain", class: native, foreign: own, path: "/v1/explain?message=:message_id&device=phone"},
	{is: "GET /v1/devices", class: native, foreign: own},
	{is: "PUT /v1/devices/:device_id", class: native, foreign: own, body: `{"platform":"ios"}`},
	{is: "GET /v1/devices/:device_id", class: native, foreign: 404},
	{is: "PUT /v1/devices/:device_id/channels/:channel", class: native, foreign: 404},
	{is: "DELETE /v1/devices/:device_id/channels/:channel", class: native, foreign: 404},
	{is: "POST /v1/devices/:device_id/secret", class: native, foreign: 404},
	{is: "DELETE /v1/devices/:device_id", class: native, foreign: 404},
	{is: "GET /v1/users/:user_id", class: native, foreign: own},
	{is: "POST /v1/users/:user_id/disconnect", class: native, foreign: own},
	{is: "DELETE /v1/users/:user_id", class: native, foreign: own},
	{is: "GET /v1/channels", class: native, foreign: own},
	{is: "GET /v1/channels/:channel", class: native, foreign: own},
	{is: "GET /v1/channels/:channel/members", class: native, foreign: own, path: "/v1/channels/presence-one/members"},
	{is: "GET /v1/channels/:channel/events", class: native, foreign: own},
	{is: "GET /v1/webhooks", class: native, foreign: own},
	{is: "GET /v1/webhooks/:webhook/dead-letters", class: native, foreign: 404},
	{is: "DELETE /v1/webhooks/:webhook/dead-letters", class: native, foreign: 404, path: "/v1/webhooks/one-backend/dead-letters?sequences=1"},
	{is: "POST /v1/webhooks/:webhook/dead-letters/resend", class: native, foreign: 404},

	{is: "POST /v1/apps/:app_key/devices", class: enrolling, body: `{"platform":"ios"}`},
	{is: "GET /v1/device", class: installed},
	{is: "PUT /v1/device", class: installed, body: `{"platform":"ios"}`},
	{is: "PUT /v1/device/user", class: binding, body: `{"token":"` + backendsWord("1", "secret-one") + `"}`},
	{is: "PUT /v1/device/user", class: unbinding, body: `{"token":"` + backendsWord("2", "secret-two") + `"}`},
	{is: "DELETE /v1/device/user", class: installed},
	{is: "PUT /v1/device/channels/:channel", class: installed},
	{is: "DELETE /v1/device/channels/:channel", class: installed},
	{is: "POST /v1/device/receipts", class: installed, body: `{"receipts":[{"message_id":"msg_none","kind":"opened"}]}`},
	{is: "DELETE /v1/device", class: installed},
	{is: "OPTIONS /v1/apps/:app_key/devices", class: public},
	{is: "OPTIONS /v1/device", class: public},
	{is: "OPTIONS /v1/device/user", class: public},
	{is: "OPTIONS /v1/device/channels/:channel", class: public},
	{is: "OPTIONS /v1/device/receipts", class: public},

	{is: "POST /apps/:app/events", class: signed, body: event},
	{is: "POST /apps/:app/batch_events", class: signed, body: `{"batch":[{"name":"e","channel":"news","data":"1"}]}`},
	{is: "GET /apps/:app/channels", class: signed},
	{is: "GET /apps/:app/channels/:channel", class: signed},
	{is: "GET /apps/:app/channels/:channel/users", class: signed, path: "/apps/1/channels/presence-one/users"},
	{is: "POST /apps/:app/channels/:channel/events", class: signed, path: "/apps/1/channels/news/events?name=e", body: "1"},
	{is: "GET /apps/:app/channels/:channel/stats", class: signed},
	{is: "POST /apps/:app/users/:user/terminate_connections", class: signed},
	{is: "ANY /apps/*", class: nowhere, path: "/apps/1/nothing"},

	{is: "GET /app/:key", class: socket},
	{is: "POST /pusher/app/:key/:server/:session/xhr_streaming", class: socket},
	{is: "POST /pusher/app/:key/:server/:session/xhr", class: socket},
	// To speak in a session one must know its id, which whoever listens in it has made
	// up; a key is no help. OPTIONS says nothing but what a page may ask.
	{is: "POST /pusher/app/:key/:server/:session/xhr_send", class: nowhere, body: "[]"},
	{is: "OPTIONS /pusher/app/:key/:server/:session/xhr_streaming", class: public},
	{is: "OPTIONS /pusher/app/:key/:server/:session/xhr", class: public},
	{is: "OPTIONS /pusher/app/:key/:server/:session/xhr_send", class: public},
	{is: "GET /app", class: astray},
	{is: "GET /app/*", class: astray, path: "/app/one/two"},

	{is: "GET /backup", class: backstage},
}

// unknown gives the routes that have no line, and the lines that have no route.
func unknown(have []string, table []route) (lost []string) {
	lines := map[string]bool{}
	for _, r := range table {
		lines[r.is] = true
	}
	for _, r := range have {
		if !lines[r] {
			lost = append(lost, r+" has no line")
		}
		delete(lines, r)
	}
	for r := range lines {
		lost = append(lost, r+" is no route")
	}
	return lost
}

// real gives what the doors and the operators' socket have. A path for every method is
// one, under ANY.
func (a *App) real() []string {
	methods := map[string][]string{}
	for _, r := range a.handler.(*echo.Echo).Routes() {
		methods[r.Path] = append(methods[r.Path], r.Method)
	}
	all := map[string]bool{}
	for path, list := range methods {
		if slices.Contains(list, http.MethodTrace) {
			list = []string{"ANY"}
		}
		for _, m := range list {
			all[m+" "+path] = true
		}
	}
	for pattern := range a.operators.routes() {
		all[pattern] = true
	}
	return slices.Sorted(maps.Keys(all))
}

func TestEveryRouteHasALine(t *testing.T) {
	a := newHouse(t).app
	have := a.real()
	for _, lost := range unknown(have, routes) {
		t.Error(lost)
	}
	if len(have) < 40 {
		t.Errorf("only %d routes: %v", len(have), have)
	}
	// The check itself: a door that adds a route, and a line that is left over.
	a.handler.(*echo.Echo).GET("/v1/secrets", func(echo.Context) error { return nil })
	if lost := unknown(a.real(), routes); !slices.Equal(lost, []string{"GET /v1/secrets has no line"}) {
		t.Errorf("a new route: %q", lost)
	}
	if lost := unknown(have[1:], routes); len(lost) != 1 || !strings.HasSuffix(lost[0], "is no route") {
		t.Errorf("a route less: %q", lost)
	}
}

// Every caller at every route.
func TestWhoMayDoWhat(t *testing.T) {
	h := newHouse(t)
	asked, granted := 0, 0
	for _, r := range routes {
		for _, c := range callers {
			want, said := c.gets[r.class]
			if !said {
				want, said = everybody[r.class]
			}
			if !said {
				t.Errorf("it is not said what %s gets of %s", c.name, r.class)
				continue
			}
			if want == foreign {
				want = r.foreign
			}
			h.furnish()
			before := h.snapshot(c.its)
			got, text := h.ask(&r, &c)
			if !same(got, want) {
				t.Errorf("%s: %s gets %d, want %d\n%.300s", r.is, c.name, got, want, text)
			}
			asked++
			if want == may {
				granted++
				continue
			}
			if strings.Contains(text, "one-") && got < 300 {
				t.Errorf("%s: %s sees what is the app's: %.300s", r.is, c.name, text)
			}
			if now := h.snapshot(c.its); now != before {
				t.Errorf("%s: %s has changed what is the app's from\n%s to\n%s", r.is, c.name, before, now)
			}
		}
	}
	t.Logf("%d routes, %d kinds of caller, %d of %d granted", len(routes), len(callers), granted, asked)
}

func same(got, want verdict) bool {
	if want == may || want == own {
		return got == may
	}
	return got == want
}

// A method that a path does not have is nobody's, not even its owner's.
func TestOtherMethods(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	has := map[string]bool{}
	for _, r := range routes {
		has[r.is] = true
	}
	for _, r := range routes {
		if r.class != native && r.class != signed {
			continue
		}
		_, path, _ := strings.Cut(r.is, " ")
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if has[m+" "+path] {
				continue
			}
			for _, c := range callers {
				if got, text := h.ask(&route{is: m + " " + path, class: r.class}, &c); got < 400 {
					t.Errorf("%s %s: %s gets %d\n%.300s", m, path, c.name, got, text)
				}
			}
		}
	}
}
