package channels

import (
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// What Pusher's REST reference lists as deprecated and old SDKs still call.

// postToChannel publishes the body as it is. The rest stands in path and query.
func (d *Door) postToChannel(c echo.Context, in *call) error {
	if !utf8.Valid(in.body) {
		return refusef(http.StatusBadRequest, "The request body is not valid UTF-8")
	}
	t := trigger{
		Name:     in.query.get("name"),
		Data:     quote(string(in.body)),
		Channel:  pathParam(c, "channel"),
		SocketID: in.query.get("socket_id"),
	}
	m, err := t.message(in.app)
	if err != nil {
		return err
	}
	if err := d.publish(c, in.app, m); err != nil {
		return err
	}
	return c.NoContent(http.StatusAccepted)
}

func (d *Door) channelStats(c echo.Context, in *call) error {
	name := diaphone.ChannelName(pathParam(c, "channel"))
	if err := name.Validate(); err != nil {
		return err
	}
	found, occupied := d.hub.Channel(in.app.ID, name)
	answer := map[string]any{"occupied": occupied, "connection_count": found.Sessions}
	if name.IsPresence() {
		answer[infoUsers] = found.Members
	}
	return success(c, answer)
}
