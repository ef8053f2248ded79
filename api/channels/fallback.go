package channels

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/channels/fallback"
)

// mountFallback adds the routes of the HTTP transports. In pusher-js they begin
// with the option httpPath, /pusher unless the app says otherwise.
func (d *Door) mountFallback(e *echo.Echo) {
	const base = "/pusher/app/:key/:server/:session"
	for path, answer := range map[string]func(echo.Context, fallback.ID){
		base + "/xhr_streaming": d.stream,
		base + "/xhr":           d.poll,
		base + "/xhr_send":      d.send,
	} {
		e.POST(path, carried(answer))
		e.OPTIONS(path, preflight)
	}
}

// carried gives an endpoint the session that a request is about.
func carried(answer func(echo.Context, fallback.ID)) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := fallback.ID{
			Key:     pathParam(c, "key"),
			Origin:  c.Request().Header.Get(echo.HeaderOrigin),
			Server:  pathParam(c, "server"),
			Session: pathParam(c, "session"),
		}
		api.HidePath(c)
		share(c)
		if !isServer(id.Server) || !isSession(id.Session) {
			return c.String(http.StatusNotFound, "No such path: the key is followed by a number below 1000 and 8 to 64 letters or digits")
		}
		answer(c, id)
		return nil
	}
}

func (d *Door) stream(c echo.Context, id fallback.ID) {
	d.sessions.Stream(c.Response(), c.Request(), id, d.accept(arrivalOf(c, id.Key)))
}

func (d *Door) poll(c echo.Context, id fallback.ID) {
	d.sessions.Poll(c.Response(), c.Request(), id, d.accept(arrivalOf(c, id.Key)))
}

func (d *Door) send(c echo.Context, id fallback.ID) {
	var apps []*diaphone.App
	if app := d.gateway.Apps().ByKey(id.Key); app != nil {
		apps = append(apps, app)
	}
	// A message is JSON within JSON: at worst every byte of it is escaped once more.
	const punctuation = 1 << 10
	d.sessions.Send(c.Response(), c.Request(), id, int64(2*ReadLimit(apps)+punctuation))
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
	api.HidePath(c)
	share(c)
	h := c.Response().Header()
	h.Set(echo.HeaderAccessControlAllowMethods, http.MethodPost)
	h.Set(echo.HeaderAccessControlAllowHeaders, echo.HeaderContentType)
	h.Set(echo.HeaderAccessControlMaxAge, "86400")
	return c.NoContent(http.StatusNoContent)
}
