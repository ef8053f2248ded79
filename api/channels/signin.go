package channels

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
)

// maxWatchlist is how many users one connection may watch (Pusher's limit).
const maxWatchlist = 100

// codeWatchlist goes with an error event only: the sign-in holds.
const codeWatchlist = 4302

const errWatchlist complaint = "Invalid user_data: watchlist should be a list of user ids, each a string of 1 to 128 characters"

const errUserData complaint = "Invalid user_data: it should be a string of JSON with an id of 1 to 128 characters"

// signIn binds the connection to a user whom the backend has signed. A failure
// is told and nothing is closed.
func (c *client) signIn(in incoming) {
	var s struct {
		Auth     jsontext.Value `json:"auth"`
		UserData jsontext.Value `json:"user_data"`
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
	watched, err := c.bind(auth, data)
	if err != nil {
		c.complain(err.Error())
		return
	}
	c.session.Send(signedIn(data))
	c.watch(watched)
}

// watch has the connection told of the users on its watchlist. One that is too long
// counts as far as it goes.
func (c *client) watch(users []diaphone.UserID) {
	if c.app.Channels.NoWatchlist {
		return
	}
	most := min(len(users), maxWatchlist)
	c.session.Watch(users[:most])
	if most < len(users) {
		var names strings.Builder
		for _, u := range users[:most] {
			names.WriteString(" " + string(u))
		}
		c.session.Send(errorFrame(codeWatchlist, "The watchlist has "+strconv.Itoa(len(users))+
			" users. Only the first "+strconv.Itoa(maxWatchlist)+" are watched:"+names.String()))
	}
}

// bind signs the session in, and gives the watchlist that came with it.
func (c *client) bind(auth, data string) (watched []diaphone.UserID, err error) {
	if err := c.verify(auth, userText(c.session.ID(), data)); err != nil {
		return nil, err
	}
	var user struct {
		ID        jsontext.Value `json:"id"`
		Info      jsontext.Value `json:"user_info"`
		Watchlist jsontext.Value `json:"watchlist"`
	}
	if unmarshal([]byte(data), &user) != nil {
		return nil, errUserData
	}
	id, ok := text(user.ID)
	if !ok || diaphone.UserID(id).Validate() != nil {
		return nil, errUserData
	}
	if watched, err = watchlist(user.Watchlist); err != nil {
		return nil, err
	}
	switch err := c.session.SignIn(diaphone.UserID(id)); {
	case errors.Is(err, hub.ErrOtherUser):
		return nil, complaint("The connection is signed in as another user already")
	case err != nil:
		return nil, err
	}
	if string(user.Info) != "null" && len(user.Info) <= c.app.Limits.MaxUserInfo() {
		c.info = user.Info
	}
	return watched, nil
}

func watchlist(raw jsontext.Value) ([]diaphone.UserID, error) {
	var users []diaphone.UserID
	if len(raw) > 0 && unmarshal(raw, &users) != nil {
		return nil, errWatchlist
	}
	for _, u := range users {
		if u.Validate() != nil {
			return nil, errWatchlist
		}
	}
	return users, nil
}
