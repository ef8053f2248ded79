package channels

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
)

// denial is why a subscription failed.
type denial struct {
	kind   string // as in the "type" of pusher:subscription_error
	status int
	text   string
}

func (d *denial) Error() string { return d.text }

const (
	authError    = "AuthError"
	invalidError = "InvalidSubscription"
	limitReached = "LimitReached"
)

// subscription is the data of pusher:subscribe and pusher:unsubscribe.
type subscription struct {
	Channel     jsontext.Value `json:"channel"`
	Auth        jsontext.Value `json:"auth"`
	ChannelData jsontext.Value `json:"channel_data"`
	Since       jsontext.Value `json:"since"` // ours: docs/history.md
}

func (c *client) subscribe(in incoming) {
	var s subscription
	if err := in.arguments(&s); err != nil {
		c.complain(err.Error())
		return
	}
	text, ok := text(s.Channel)
	if !ok {
		c.complain("Invalid subscription: channel is missing or not a string")
		return
	}
	name := diaphone.ChannelName(text)
	if c.session.Joined(name) {
		// Users subscribe in their own "connected" handler while pusher-js does so by
		// itself: a subscription_error here would spoil the one that holds.
		c.complain("Existing subscription to channel " + clip(text))
		return
	}
	member, err := c.admit(name, s)
	var since *diaphone.Position
	if err == nil {
		since, err = c.sinceOf(name, s)
	}
	if err == nil {
		err = c.session.Resume(name, member, since)
	}
	if err != nil {
		c.deny(name, err)
		return
	}
	delete(c.since, name) // subscribing once more is a new beginning
}

// admit checks that the client may enter, and as whom.
func (c *client) admit(name diaphone.ChannelName, s subscription) (*hub.Member, error) {
	if err := name.Validate(); err != nil {
		return nil, &denial{invalidError, http.StatusBadRequest, "Invalid channel name: " + clip(string(name))}
	}
	if user, ok := name.User(); ok {
		if c.session.User() == "" || c.session.User() != user {
			return nil, &denial{authError, http.StatusUnauthorized, "Not signed in as the user of " + clip(string(name))}
		}
		return nil, nil
	}
	if !name.NeedsAuth() {
		return nil, nil
	}
	data, err := c.checkAuth(name, s)
	if err != nil || !name.IsPresence() {
		return nil, err
	}
	return c.member(data)
}

// checkAuth checks the backend's signature and gives the channel_data it covers.
func (c *client) checkAuth(name diaphone.ChannelName, s subscription) (data string, err error) {
	auth, okAuth := optionalText(s.Auth)
	data, okData := optionalText(s.ChannelData)
	switch {
	case !okAuth || auth == "":
		return "", &denial{authError, http.StatusUnauthorized, "Auth info required to subscribe to " + string(name)}
	case !okData:
		return "", &denial{invalidError, http.StatusBadRequest, "Invalid channel_data: it should be a string of JSON"}
	}
	return data, c.verify(auth, channelText(c.session.ID(), name, data))
}

// verify checks an "auth" of the form KEY:SIGNATURE. What it says of a wrong one
// is what should have been signed, never the right signature.
func (c *client) verify(auth, signed string) error {
	id, signature, _ := strings.Cut(auth, ":")
	key, ok := c.app.Key(id)
	if !ok {
		return &denial{authError, http.StatusUnauthorized, "Invalid key in subscription auth data: '" + clip(id) + "'"}
	}
	if !c.signers[key.Key].signed([]byte(signed), signature) {
		return &denial{authError, http.StatusUnauthorized,
			"Invalid signature: Expected HMAC SHA256 hex digest of " + clip(signed) + ", but got " + clip(signature)}
	}
	return nil
}

// member reads who enters a presence channel: from channel_data, or the user the
// client is signed in as.
func (c *client) member(data string) (*hub.Member, error) {
	if data == "" {
		if c.session.User() == "" {
			return nil, &denial{invalidError, http.StatusBadRequest, "channel_data is missing and the client is not signed in"}
		}
		return &hub.Member{User: c.session.User(), Info: c.info}, nil
	}
	var d struct {
		UserID   jsontext.Value `json:"user_id"`
		UserInfo jsontext.Value `json:"user_info"`
	}
	if unmarshal([]byte(data), &d) != nil {
		return nil, &denial{invalidError, http.StatusBadRequest, "Invalid channel_data: it should be a string of JSON"}
	}
	id, ok := userID(d.UserID)
	user := diaphone.UserID(id)
	if !ok || user.Validate() != nil {
		return nil, &denial{invalidError, http.StatusBadRequest, "Invalid channel_data: user_id should be 1 to 128 characters"}
	}
	if string(d.UserInfo) == "null" {
		d.UserInfo = nil
	}
	if most := c.app.Limits.MaxUserInfo(); len(d.UserInfo) > most {
		return nil, &denial{limitReached, http.StatusRequestEntityTooLarge, "Invalid channel_data: user_info has more than " + strconv.Itoa(most) + " bytes"}
	}
	return &hub.Member{User: user, Info: d.UserInfo}, nil
}

// deny tells of a failed subscription in all the forms that clients understand:
// the connection's error (hosted's form, which every SDK shows), the channel's
// (pusher-js and Echo), and .NET's own.
func (c *client) deny(name diaphone.ChannelName, err error) {
	d := &denial{invalidError, http.StatusBadRequest, err.Error()}
	switch {
	case errors.As(err, &d):
	case errors.Is(err, hub.ErrFull):
		d = &denial{limitReached, http.StatusForbidden, "The channel " + string(name) + " has as many members as it may"}
	case errors.Is(err, hub.ErrTooMany):
		d = &denial{limitReached, http.StatusForbidden, "The connection is in as many channels as it may (" + strconv.Itoa(c.app.Limits.MaxChannels()) + ")"}
	}
	c.session.Send(errorFrame(0, d.text))
	data := `{"type":` + string(quote(d.kind)) + `,"error":` + string(quote(d.text)) + `,"status":` + strconv.Itoa(d.status) + `}`
	about := diaphone.ChannelName(clip(string(name)))
	c.session.Send(channelFrame("pusher:subscription_error", about, data))
	if c.protocol < 6 {
		c.session.Send(channelFrame("pusher_internal:subscription_error", about, data))
	}
}

func (c *client) unsubscribe(in incoming) {
	var s subscription
	if err := in.arguments(&s); err != nil {
		c.complain(err.Error())
		return
	}
	name, _ := text(s.Channel)
	if c.session.Leave(diaphone.ChannelName(name)) != nil {
		c.complain("No current subscription to channel " + clip(name) + ", or subscription in progress")
	}
}
