package channels

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/channels/fallback"
)

// mountFallback adds the routes of the HTTP transports. In pusher-js they begin
// with the option httpPath, /pusher unless the app says otherwise.
func (d *Door) mountFallback(g *echo.Group) {
	const base = "/pusher/app/:key/:server/:session"
	for path, answer := range map[string]func(http.ResponseWriter, *http.Request, fallback.ID){
		base + "/xhr_streaming": d.stream,
		base + "/xhr":           d.poll,
		base + "/xhr_send":      d.send,
	} {
		g.POST(path, carried(answer))
		g.OPTIONS(path, preflight)
	}
}

// carried gives an endpoint the session that a request is about.
func carried(answer func(http.ResponseWriter, *http.Request, fallback.ID)) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, param := c.Request(), pathParams(c)
		hide(c)
		share(c)
		id := fallback.ID{
			Key:     param("key"),
			Origin:  r.Header.Get(echo.HeaderOrigin),
			Server:  param("server"),
			Session: param("session"),
		}
		if !isServer(id.Server) || !isSession(id.Session) {
			return c.String(http.StatusNotFound, "No such path: the key is followed by a number below 1000 and 8 to 64 letters or digits")
		}
		answer(c.Response(), r, id)
		return nil
	}
}

func (d *Door) stream(w http.ResponseWriter, r *http.Request, id fallback.ID) {
	d.sessions.Stream(w, r, id, d.accept(id.Key, r.URL.Query().Get("protocol"), id.Origin))
}

func (d *Door) poll(w http.ResponseWriter, r *http.Request, id fallback.ID) {
	d.sessions.Poll(w, r, id, d.accept(id.Key, r.URL.Query().Get("protocol"), id.Origin))
}

func (d *Door) send(w http.ResponseWriter, r *http.Request, id fallback.ID) {
	var apps []*diaphone.App
	if app := d.gateway.Apps().ByKey(id.Key); app != nil {
		apps = append(apps, app)
	}
	// A message is JSON within JSON: at worst every byte of it is escaped once more.
	const punctuation = 1 << 10
	d.sessions.Send(w, r, id, int64(2*ReadLimit(apps)+punctuation))
}

// isServer and isSession bound what a client may choose.
func isServer(s string) bool {
	return len(s) >= 1 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

func isSession(s string) bool {
	return len(s) >= 8 && len(s) <= 64 && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// share lets a page of any origin read the answer. A page that the app does not
// list must be able to: it learns there, by a code, not to come again. What keeps it
// out is that it gets no session. No cookie is ever asked for or heeded.
func share(c echo.Context) {
	origin := c.Request().Header.Get(echo.HeaderOrigin)
	if origin == "" {
		origin = "*"
	}
	h := c.Response().Header()
	h.Set(echo.HeaderAccessControlAllowOrigin, origin)
	h.Add(echo.HeaderVary, echo.HeaderOrigin)
}

// preflight lets a browser send the Content-Type that pusher-js gives to all its
// requests.
func preflight(c echo.Context) error {
	hide(c)
	share(c)
	h := c.Response().Header()
	h.Set(echo.HeaderAccessControlAllowMethods, http.MethodPost)
	h.Set(echo.HeaderAccessControlAllowHeaders, echo.HeaderContentType)
	h.Set(echo.HeaderAccessControlMaxAge, "86400")
	return c.NoContent(http.StatusNoContent)
}

// hide keeps the path, and with it the session's id, which is a secret, out of the
// log: it shows the route in its place.
func hide(c echo.Context) {
	r := c.Request().WithContext(c.Request().Context()) // a copy
	u := *r.URL
	u.Path, u.RawPath = c.Path(), ""
	r.URL = &u
	c.SetRequest(r)
}
