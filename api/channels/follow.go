package channels

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/diaphone-dev/diaphone"
)

// known are the positions that a client has of channels it is about to subscribe to.
type known map[diaphone.ChannelName]diaphone.Position

const errFollowLate complaint = "diaphone:follow comes before the first subscription and the first sign-in with a watchlist"

// follow is for clients that cannot put members of their own into a subscription and
// see none of an event: stock SDKs. From here on every subscription of the connection
// resumes, and positions are told in events. It may come in several pieces.
func (c *client) follow(in incoming) {
	var f struct {
		Since map[diaphone.ChannelName]jsontext.Value `json:"since"`
	}
	if err := in.arguments(&f); err != nil {
		c.complain(err.Error())
		return
	}
	if most := c.app.Limits.MaxChannels(); len(c.since)+len(f.Since) > most {
		c.complain("diaphone:follow names more channels than one connection may be in (" + strconv.Itoa(most) + ")")
		return
	}
	since := make(known, len(f.Since))
	for name, raw := range f.Since {
		p, err := positionOf(raw)
		if err != nil {
			c.complain(err.Error())
			return
		}
		since[name] = p
	}
	if c.since == nil {
		if c.session.Speak(wire{positions: true}) != nil {
			c.complain(errFollowLate.Error())
			return
		}
		c.since = known{}
	}
	maps.Copy(c.since, since)
	c.session.Send(ours("diaphone:following", "{}"))
}

// sinceOf gives from where a subscription resumes: as it says itself, or as the
// client has said before; nil when neither was said.
func (c *client) sinceOf(name diaphone.ChannelName, s subscription) (*diaphone.Position, error) {
	if len(s.Since) > 0 && string(s.Since) != "null" {
		p, err := positionOf(s.Since)
		return &p, err
	}
	if c.since == nil {
		return nil, nil
	}
	p := c.since[name]
	return &p, nil
}

func positionOf(raw jsontext.Value) (diaphone.Position, error) {
	text, ok := text(raw)
	p, err := diaphone.ParsePosition(text)
	if !ok || err != nil {
		return p, &denial{invalidError, http.StatusBadRequest, "Invalid since: it should be a position that came with an event, or empty"}
	}
	return p, nil
}
