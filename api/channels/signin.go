package channels

import (
	"encoding/json"
	"errors"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
)

const errUserData complaint = "Invalid user_data: it should be a string of JSON with an id of 1 to 128 characters"

// signIn binds the connection to a user whom the backend has signed. A failure
// is told and nothing is closed.
func (c *client) signIn(in incoming) {
	var s struct {
		Auth     json.RawMessage `json:"auth"`
		UserData json.RawMessage `json:"user_data"`
	}
	if err := in.arguments(&s); err != nil {
		c.complain(err.Error())
		return
	}
	auth, _ := text(s.Auth)
	data, ok := text(s.UserData)
	if !ok {
		c.complain(errUserData.Error())
		return
	}
	if err := c.bind(auth, data); err != nil {
		c.complain(err.Error())
		return
	}
	c.session.Send(signedIn(data))
}

func (c *client) bind(auth, data string) error {
	if err := c.verify(auth, userText(c.session.ID(), data)); err != nil {
		return err
	}
	var user struct {
		ID   json.RawMessage `json:"id"`
		Info json.RawMessage `json:"user_info"`
	}
	if json.Unmarshal([]byte(data), &user) != nil {
		return errUserData
	}
	id, ok := text(user.ID)
	if !ok || diaphone.UserID(id).Validate() != nil {
		return errUserData
	}
	switch err := c.session.SignIn(diaphone.UserID(id)); {
	case errors.Is(err, hub.ErrOtherUser):
		return complaint("The connection is signed in as another user already")
	case err != nil:
		return err
	}
	if string(user.Info) != "null" && len(user.Info) <= maxUserInfo {
		c.info = user.Info
	}
	return nil
}
