package channels

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/sockets"
)

// subprotocol is offered by Swift's client, whose stack may refuse an answer
// without it.
const subprotocol = "pusher-channels-protocol-7"

// Protocol versions that are spoken: Java and .NET still say 5. A client that
// says nothing is taken for the newest.
const (
	oldestProtocol = 5
	newestProtocol = 7
)

// Close codes of the Pusher protocol. 4000–4099 and 4300 upwards: never again;
// 4100–4199: after a second; 4200–4299: at once.
const (
	codeNeedsTLS     = 4000
	codeUnknownApp   = 4001
	codeDisabled     = 4003
	codeOverQuota    = 4004
	codeNoPath       = 4005
	codeBadVersion   = 4006
	codeBadProtocol  = 4007
	codeUnauthorised = 4009
	codeTryElsewhere = 4100
)

// turning is why a connection is refused. It is told after the upgrade, for a
// client that gets an HTTP error sees code 1006 and tries for ever.
type turning struct {
	code   int
	reason string
}

func (t *turning) Error() string { return t.reason }

func (d *Door) connect(c echo.Context) error {
	key := pathParam(c, "key")
	if strings.Contains(key, "/") { // echo gives the last parameter all that is left
		return d.connectNowhere(c)
	}
	if d.gateway.Apps().ByKey(key) == nil {
		api.HidePath(c) // it may be the secret of one
	}
	return d.upgrade(c, d.accept(arrivalOf(c, key)))
}

// arrival is what is known of somebody who wants to connect, in whichever way.
type arrival struct {
	key, protocol, origin string
	secure                bool
}

func arrivalOf(c echo.Context, key string) arrival {
	return arrival{key, c.QueryParam("protocol"), c.Request().Header.Get(echo.HeaderOrigin), api.IsSecure(c)}
}

// accept greets a connection, or says why it may not stay.
func (d *Door) accept(a arrival) func(*sockets.Conn) sockets.Handler {
	return func(conn *sockets.Conn) sockets.Handler {
		app, protocol, err := d.admit(a)
		if err != nil {
			return d.turnAway(conn, err)
		}
		session, err := d.hub.Open(app, conn, wire{})
		if err != nil {
			return d.turnAway(conn, err)
		}
		session.Send(established(session.ID(), d.activity))
		if within := app.Channels.AuthoriseWithin; within > 0 {
			session.Expire(within, func() {
				const reason = "Neither signed in nor subscribed to a private or presence channel in time"
				session.Send(errorFrame(codeUnauthorised, reason))
				session.Close(codeUnauthorised, reason)
			})
		}
		return &client{app: app, signers: d.signers, session: session, protocol: protocol}
	}
}

func (d *Door) connectNowhere(c echo.Context) error {
	return d.upgrade(c, func(conn *sockets.Conn) sockets.Handler {
		return d.turnAway(conn, &turning{codeNoPath, "Path not found: connect to /app/KEY"})
	})
}

// astray turns away clients that were given a wrong path (pusher-js's wsPath), which
// is nobody's: they too must hear a close code.
func (d *Door) astray(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if c.IsWebSocket() && (errors.Is(err, echo.ErrNotFound) || errors.Is(err, echo.ErrMethodNotAllowed)) {
			return d.connectNowhere(c)
		}
		return err
	}
}

func (d *Door) upgrade(c echo.Context, accept func(*sockets.Conn) sockets.Handler) error {
	if err := d.hub.Engine().Upgrade(c.Response(), c.Request(), subprotocol, accept); err != nil {
		d.log.DebugContext(c.Request().Context(), "pusher websocket", "error", err)
		return nil // the client has its answer
	}
	c.Response().Status, c.Response().Committed = http.StatusSwitchingProtocols, true
	return nil
}

func (d *Door) admit(a arrival) (*diaphone.App, int, error) {
	app := d.gateway.Apps().ByKey(a.key)
	switch {
	case app == nil:
		return nil, 0, &turning{codeUnknownApp, "App key " + clip(a.key) + " not known here"}
	case app.Disabled:
		return nil, 0, &turning{codeDisabled, "App is disabled"}
	case app.Channels.TLSOnly && !a.secure:
		return nil, 0, &turning{codeNeedsTLS, "App takes connections over TLS only: use wss://"}
	case !app.Channels.Admits(a.origin):
		// A code that stops clients for good. An HTTP refusal would have them try for ever.
		return nil, 0, &turning{codeUnauthorised, "Pages of origin " + clip(a.origin) + " may not connect"}
	case a.protocol == "":
		return app, newestProtocol, nil
	}
	version, err := strconv.Atoi(a.protocol)
	switch {
	case err != nil:
		return nil, 0, &turning{codeBadVersion, "Protocol version is not a number"}
	case version < oldestProtocol || version > newestProtocol:
		return nil, 0, &turning{codeBadProtocol, "Unsupported protocol version: use 5, 6 or 7"}
	}
	return app, version, nil
}

// turnAway says why, and closes. Clients below protocol 6 learn the code from the
// error event only; the newer ones take it as well.
func (d *Door) turnAway(conn *sockets.Conn, err error) sockets.Handler {
	t := &turning{codeTryElsewhere, "Over capacity"}
	switch {
	case errors.As(err, &t):
	case errors.Is(err, hub.ErrOverQuota):
		t = &turning{codeOverQuota, "App over connection quota"}
	case errors.Is(err, hub.ErrDraining):
		t = &turning{codeTryElsewhere, "Server is restarting"}
	}
	_ = conn.Send(errorFrame(t.code, t.reason)) // Close follows either way
	conn.Close(t.code, t.reason)
	return turned{}
}
