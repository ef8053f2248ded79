package rest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// FCM's SDK brings OpenCensus, which starts a worker when it is linked in.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

const unknownMessage = "/v1/messages/msg_06f3k9q2v8c7h0a1b2c3d4e5f6"

// row is what one route answers to each kind of caller. In every row there is a
// device "d1" of app 1 and none of app 2.
type row struct {
	path, body string
	anonymous  int // no token, a wrong one, one in the wrong place
	owner      int // app 1
	stranger   int // app 2, with a good token of its own
}

// matrix has every route of every door. A route without a row fails the test, and
// a new row begins with the question of who may call it.
func matrix() map[string]row {
	const device = `{"platform":"ios"}`
	const message = `{"to":{"devices":["d1"]},"notification":{"title":"x"}}`
	return map[string]row{
		"POST /v1/messages":                                 {"/v1/messages", message, 401, 202, 202},
		"POST /v1/messages/batch":                           {"/v1/messages/batch", `{"messages":[` + message + `]}`, 401, 200, 200},
		"GET /v1/messages/{message_id}":                     {"MESSAGE", "", 401, 200, 404},
		"POST /v1/messages/{message_id}/cancel":             {"MESSAGE/cancel", "", 401, 200, 404},
		"GET /v1/messages/{message_id}/deliveries":          {"MESSAGE/deliveries", "", 401, 200, 404},
		"GET /v1/explain":                                   {"/v1/explain?user=ana&message=" + unknownMessage[13:], "", 401, 200, 200},
		"GET /v1/messages/{message_id}/progress":            {"MESSAGE/progress", "", 401, 200, 404},
		"GET /v1/devices":                                   {"/v1/devices", "", 401, 200, 200},
		"PUT /v1/devices/{device_id}":                       {"/v1/devices/d1", device, 401, 200, 201},
		"GET /v1/devices/{device_id}":                       {"/v1/devices/d1", "", 401, 200, 404},
		"DELETE /v1/devices/{device_id}":                    {"/v1/devices/d1", "", 401, 204, 404},
		"PUT /v1/devices/{device_id}/channels/{channel}":    {"/v1/devices/d1/channels/news", "", 401, 204, 404},
		"DELETE /v1/devices/{device_id}/channels/{channel}": {"/v1/devices/d1/channels/news", "", 401, 204, 404},
		"POST /v1/devices/{device_id}/secret":               {"/v1/devices/d1/secret", "", 401, 200, 404},
		"DELETE /v1/users/{user_id}":                        {"/v1/users/ana", "", 401, 200, 200},
		"GET /v1/users/{user_id}":                           {"/v1/users/ana", "", 401, 200, 200},
		"POST /v1/users/{user_id}/disconnect":               {"/v1/users/ana/disconnect", "", 401, 200, 200},
		"GET /v1/channels":                                  {"/v1/channels", "", 401, 200, 200},
		"GET /v1/channels/{channel}":                        {"/v1/channels/news", "", 401, 200, 200},
		"GET /v1/channels/{channel}/members":                {"/v1/channels/presence-a/members", "", 401, 200, 200},
		"GET /v1/channels/{channel}/events":                 {"/v1/channels/news/events", "", 401, 200, 200},
		"GET /v1/webhooks":                                  {"/v1/webhooks", "", 401, 200, 200},
		"GET /v1/webhooks/{webhook}/dead-letters":           {"/v1/webhooks/backend/dead-letters", "", 401, 200, 404},
		"DELETE /v1/webhooks/{webhook}/dead-letters":        {"/v1/webhooks/backend/dead-letters", "", 401, 200, 404},
		"POST /v1/webhooks/{webhook}/dead-letters/resend":   {"/v1/webhooks/backend/dead-letters/resend", "", 401, 200, 404},
		// An installed app's door wants the secret of a device, and its first call the public key in
		// its path; a bearer token of the app counts for nothing there.
		"POST /v1/apps/{app_key}/devices":       {},
		"OPTIONS /v1/apps/{app_key}/devices":    {},
		"OPTIONS /v1/device":                    {},
		"OPTIONS /v1/device/user":               {},
		"OPTIONS /v1/device/channels/{channel}": {},
		"GET /v1/device":                        {"/v1/device", "", 401, 401, 401},
		"PUT /v1/device":                        {"/v1/device", device, 401, 401, 401},
		"DELETE /v1/device":                     {"/v1/device", "", 401, 401, 401},
		"PUT /v1/device/user":                   {"/v1/device/user", `{"token":"x"}`, 401, 401, 401},
		"DELETE /v1/device/user":                {"/v1/device/user", "", 401, 401, 401},
		"PUT /v1/device/channels/{channel}":     {"/v1/device/channels/news", "", 401, 401, 401},
		"DELETE /v1/device/channels/{channel}":  {"/v1/device/channels/news", "", 401, 401, 401},
		"POST /v1/device/receipts":              {"/v1/device/receipts", `{"receipts":[{"message_id":"msg_x","kind":"opened"}]}`, 401, 401, 401},
		"OPTIONS /v1/device/receipts":           {},
		// The Pusher door wants a signature; a bearer token counts for nothing there.
		"POST /apps/{app}/events":                             {"/apps/1/events", message, 401, 401, 401},
		"POST /apps/{app}/batch_events":                       {"/apps/1/batch_events", message, 401, 401, 401},
		"GET /apps/{app}/channels":                            {"/apps/1/channels", "", 401, 401, 401},
		"GET /apps/{app}/channels/{channel}":                  {"/apps/1/channels/news", "", 401, 401, 401},
		"GET /apps/{app}/channels/{channel}/users":            {"/apps/1/channels/presence-a/users", "", 401, 401, 401},
		"POST /apps/{app}/channels/{channel}/events":          {"/apps/1/channels/news/events", message, 401, 401, 401},
		"GET /apps/{app}/channels/{channel}/stats":            {"/apps/1/channels/news/stats", "", 401, 401, 401},
		"POST /apps/{app}/users/{user}/terminate_connections": {"/apps/1/users/ana/terminate_connections", "", 401, 401, 401},
		// Everybody may connect; what a connection may hear is tested in its door.
		"GET /app/{key}": {},
		"POST /pusher/app/{key}/{server}/{session}/xhr_streaming":    {},
		"POST /pusher/app/{key}/{server}/{session}/xhr":              {},
		"POST /pusher/app/{key}/{server}/{session}/xhr_send":         {},
		"OPTIONS /pusher/app/{key}/{server}/{session}/xhr_streaming": {},
		"OPTIONS /pusher/app/{key}/{server}/{session}/xhr":           {},
		"OPTIONS /pusher/app/{key}/{server}/{session}/xhr_send":      {},

		"GET /livez":        {"/livez", "", 200, 200, 200},
		"GET /readyz":       {"/readyz", "", 200, 200, 200},
		"GET /metrics":      {"/metrics", "", 200, 200, 200},
		"GET /openapi.yaml": {"/openapi.yaml", "", 200, 200, 200},
	}
}

func TestEveryRouteHasItsRowInTheMatrix(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	rows := matrix()
	for _, route := range apitest.Routes(s.Echo) {
		if _, ok := rows[route]; !ok {
			t.Errorf("%s: who may call it? Say so in the matrix", route)
		}
		delete(rows, route)
	}
	for route := range rows {
		t.Errorf("%s is no route any more", route)
	}
}

func TestAuthorisationMatrix(t *testing.T) {
	callers := []struct {
		name    string
		headers []string
		query   string
	}{
		{"no token", nil, ""},
		{"empty header", []string{"Authorization: "}, ""},
		{"no token behind the scheme", []string{"Authorization: Bearer"}, ""},
		{"another scheme", []string{"Authorization: Basic " + apitest.Token1}, ""},
		{"a bare token", []string{"Authorization: " + apitest.Token1}, ""},
		{"unknown token", []string{"Authorization: Bearer dp_nobody"}, ""},
		{"other case", []string{"Authorization: Bearer " + strings.ToUpper(apitest.Token1)}, ""},
		{"something behind the token", []string{"Authorization: Bearer " + apitest.Token1 + " x"}, ""},
		{"two headers", []string{"Authorization: Bearer " + apitest.Token1, "Authorization: Bearer " + apitest.Token2}, ""},
		{"token in the query", nil, "?access_token=" + apitest.Token1},
		{"token as cookie", []string{"Cookie: token=" + apitest.Token1}, ""},
	}
	s := apitest.Start(t, apitest.Options{})
	s.Stop() // so that streams end behind their first event
	for route, r := range matrix() {
		if r.path == "" {
			continue
		}
		t.Run(route, func(t *testing.T) {
			method, _, _ := strings.Cut(route, " ")
			must(t, s.Do(apitest.Token2, "DELETE", "/v1/devices/d1", ""), 204, 404)
			must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios"}`), 200, 201)
			path := strings.Replace(r.path, "MESSAGE", messageOfApp1(t, s), 1)
			native := strings.HasPrefix(path, "/v1/")
			for _, c := range callers {
				a := s.Do("", method, path+c.query, r.body, c.headers...)
				if a.Status != r.anonymous {
					t.Errorf("%s: %d %.300s", c.name, a.Status, a.Body)
				}
				challenge := a.Header.Get("WWW-Authenticate")
				if native && a.Status == http.StatusUnauthorized && !strings.HasPrefix(challenge, `Bearer realm="diaphone"`) {
					t.Errorf("%s: challenged with %q", c.name, challenge)
				}
				if native && c.name == "unknown token" && a.Status == http.StatusUnauthorized && !strings.Contains(challenge, `error="invalid_token"`) {
					t.Errorf("%s: challenged with %q", c.name, challenge)
				}
			}
			if a := s.Do(apitest.Token2, method, path, r.body); a.Status != r.stranger {
				t.Errorf("stranger: %d %.300s", a.Status, a.Body)
			}
			if a := s.Do("", method, path, r.body, "Authorization: bEARER  "+apitest.Token1); a.Status != r.owner {
				t.Errorf("owner: %d %.300s", a.Status, a.Body)
			}
		})
	}
}

// A path that is no route tells an anonymous caller nothing either.
func TestNoRouteNoAnswer(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404},
		{"GET", "/v1", 404},
		{"GET", "/v1/messages", 405},
		{"GET", "/v1/messages/", 404},
		{"PATCH", "/v1/devices/d1", 405},
		{"POST", "/v1/devices", 405},
		{"GET", "/v1/devices/d1/channels", 404},
		{"GET", "/v1/devices/d1/channels/news", 405},
		{"GET", "/v2/messages", 404},
		{"GET", "/v1/devices/../../metrics", 404},
		{"POST", "/livez", 405},
	} {
		a := s.Do("", c.method, c.path, "")
		if a.Status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
		if (a.Status == http.StatusMethodNotAllowed) != (a.Header.Get("Allow") != "") {
			t.Errorf("%s %s: %d with Allow %q", c.method, c.path, a.Status, a.Header.Get("Allow"))
		}
	}
}

// Two apps that use the same ids see, change and notify nothing of each other.
func TestTenantsAreMirrors(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	tokens := []string{apitest.Token1, apitest.Token2}
	for i, token := range tokens {
		for _, id := range []string{"d1", "d2"} {
			body := fmt.Sprintf(`{"platform":"ios","user_id":"ana","channels":["news"],"tags":{"app":"%d"},"tokens":[{"kind":"fcm","value":"same-%s"}]}`, i, id)
			must(t, s.Do(token, "PUT", "/v1/devices/"+id, body), 201)
		}
	}
	must(t, s.Do(apitest.Token2, "DELETE", "/v1/devices/d2", ""), 204)
	must(t, s.Do(apitest.Token2, "PUT", "/v1/devices/d1/channels/sports", ""), 204)
	must(t, s.Do(apitest.Token2, "DELETE", "/v1/devices/d1/channels/news", ""), 204)

	if got := ids(t, s, apitest.Token1, "/v1/devices?user_id=ana"); !slices.Equal(got, []string{"d1", "d2"}) {
		t.Errorf("app 1 has %v", got)
	}
	if got := ids(t, s, apitest.Token2, "/v1/devices"); !slices.Equal(got, []string{"d1"}) {
		t.Errorf("app 2 has %v", got)
	}
	var d wire.Device
	s.Do(apitest.Token1, "GET", "/v1/devices/d1", "").JSON(t, &d)
	if d.Tags["app"] != "0" || len(d.Channels) != 1 || d.Channels[0] != "news" {
		t.Errorf("app 1's device became %+v", d)
	}

	// The same idempotency key, and messages that name the other's devices.
	published := map[string]wire.Published{}
	for _, token := range tokens {
		a := s.Do(token, "POST", "/v1/messages", `{"to":{"users":["ana"],"devices":["d1","d2"],"channels":["news"]},"event":{"name":"e"},"notification":{"title":"x"}}`, "Idempotency-Key: same")
		must(t, a, 202)
		var p wire.Published
		a.JSON(t, &p)
		published[token] = p
	}
	if n := published[apitest.Token1].Counts.Accepted; n != 2 {
		t.Errorf("app 1's message went to %d devices", n)
	}
	if n := published[apitest.Token2].Counts.Accepted; n != 1 {
		t.Errorf("app 2's message went to %d devices", n)
	}
	for i, f := range s.Fanned() {
		if want := fmt.Sprint(i + 1); string(f.App) != want {
			t.Errorf("event %d went to app %s", i, f.App)
		}
	}
	for i, token := range tokens {
		other := published[tokens[1-i]].ID
		for _, path := range []string{"/v1/messages/" + string(other), "/v1/messages/" + string(other) + "/deliveries"} {
			must(t, s.Do(token, "GET", path, ""), 404)
		}
	}

	// A cursor of one app is worth nothing to the other.
	var page wire.Page[wire.Device]
	s.Do(apitest.Token1, "GET", "/v1/devices?limit=1", "").JSON(t, &page)
	if page.NextCursor == "" {
		t.Fatal("there is no second page")
	}
	a := s.Do(apitest.Token2, "GET", "/v1/devices?cursor="+page.NextCursor, "")
	if a.Status == http.StatusOK && strings.Contains(string(a.Body), `"0"`) {
		t.Errorf("app 2 reads on in app 1's list: %s", a.Body)
	}
}

func must(t *testing.T, a apitest.Answer, statuses ...int) {
	t.Helper()
	if !slices.Contains(statuses, a.Status) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
}

func messageOfApp1(t *testing.T, s *apitest.Server) string {
	t.Helper()
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d1"]},"notification":{"title":"x"}}`)
	must(t, a, 202)
	return a.Header.Get("Location")
}

func ids(t *testing.T, s *apitest.Server, token, path string) []string {
	t.Helper()
	a := s.Do(token, "GET", path, "")
	must(t, a, 200)
	var p wire.Page[wire.Device]
	a.JSON(t, &p)
	var all []string
	for _, d := range p.Data {
		all = append(all, string(d.ID))
	}
	return all
}
