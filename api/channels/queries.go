package channels

import (
	"math"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// What info may ask for.
const (
	infoUsers         = "user_count"
	infoSubscriptions = "subscription_count"
	infoCache         = "cache"
)

func (d *Door) listChannels(c echo.Context, in *call) error {
	prefix := in.query.get("filter_by_prefix")
	users := false
	for _, want := range asked(in.query.get("info")) {
		switch {
		case want != infoUsers:
			return refusef(http.StatusBadRequest, "Unknown attribute %q: a list of channels has user_count only", clip(want))
		case !strings.HasPrefix(prefix, diaphone.PrefixPresence):
			return refusef(http.StatusBadRequest, "user_count is for presence channels: filter_by_prefix must begin with presence-")
		}
		users = true
	}
	all := map[diaphone.ChannelName]map[string]int{}
	occupied, _ := d.hub.Channels(in.app.ID, prefix, "", 0)
	for _, found := range occupied {
		all[found.Name] = map[string]int{}
		if users {
			all[found.Name][infoUsers] = found.Members
		}
	}
	return success(c, map[string]any{"channels": all})
}

func (d *Door) getChannel(c echo.Context, in *call) error {
	name := diaphone.ChannelName(pathParam(c, "channel"))
	if err := name.Validate(); err != nil {
		return err
	}
	found, occupied := d.hub.Channel(in.app.ID, name)
	answer := map[string]any{"occupied": occupied}
	for _, want := range asked(in.query.get("info")) {
		switch {
		case want == infoSubscriptions:
			answer[want] = found.Sessions
		case want == infoUsers && name.IsPresence():
			answer[want] = found.Members
		case want == infoUsers:
			return refusef(http.StatusBadRequest, "user_count is for presence channels only")
		case want == infoCache && name.IsCache():
			answer[want] = d.kept(in.app, name)
		case want == infoCache:
			return refusef(http.StatusBadRequest, "cache is for cache channels only")
		default:
			return refusef(http.StatusBadRequest, "Unknown attribute %q: use user_count, subscription_count or cache", clip(want))
		}
	}
	return success(c, answer)
}

func (d *Door) listUsers(c echo.Context, in *call) error {
	name := diaphone.ChannelName(pathParam(c, "channel"))
	if err := name.Validate(); err != nil {
		return err
	}
	if !name.IsPresence() {
		return refusef(http.StatusBadRequest, "Users are known of presence channels only")
	}
	users := []map[string]diaphone.UserID{}
	for _, m := range d.hub.Members(in.app.ID, name) {
		users = append(users, map[string]diaphone.UserID{"id": m.User})
	}
	return success(c, map[string]any{"users": users})
}

func (d *Door) terminate(c echo.Context, in *call) error {
	user := diaphone.UserID(pathParam(c, "user"))
	if err := user.Validate(); err != nil {
		return err
	}
	d.gateway.Disconnect(in.app.ID, user)
	return success(c, nil)
}

// asked splits a comma list; an empty one asks for nothing.
func asked(info string) []string {
	if info == "" {
		return nil
	}
	return strings.Split(info, ",")
}

// kept is what a cache channel would send to a new subscriber; nil: nothing.
func (d *Door) kept(app *diaphone.App, c diaphone.ChannelName) any {
	e, left, ok := d.hub.Cached(app.ID, c)
	if !ok {
		return nil
	}
	return map[string]any{"data": e.Data, "ttl": int(math.Ceil(left.Seconds()))}
}
