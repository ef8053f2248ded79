package gateway

import "github.com/diaphone-dev/diaphone"

// Past gives what a channel has had after a position, at most so many events, or
// all that is kept of it when the position is of another epoch. NotFound when the
// app keeps no history of the channel.
func (g *Gateway) Past(app *diaphone.App, c diaphone.ChannelName, since diaphone.Position, most int) (diaphone.Past, error) {
	past, ok := g.parts.Past(app, c, since, most)
	if !ok {
		err := diaphone.Errorf(diaphone.NotFound, "app %q keeps no history of channel %q", app.ID, c)
		err.Hint = "name its prefix under channels.history in the apps file"
		return diaphone.Past{}, err
	}
	return past, nil
}
