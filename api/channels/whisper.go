package channels

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
)

// prefixClient is how the names of events begin that clients send to each other
// (Pusher Channels, "client events"; Echo calls them whispers).
const prefixClient = "client-"

// codeTooFast goes with an error event only: as a close code it would stop
// pusher-js for good.
const codeTooFast = 4301

const (
	errClientEventsOff  complaint = "To send client events, you must enable this feature in the settings of your app."
	errClientKind       complaint = "Client events are for private and presence channels only"
	errClientEncrypted  complaint = "Client events are not for encrypted channels: their data would go out in clear"
	errClientNotJoined  complaint = "Client events are for channels that the connection is subscribed to"
	errClientName       complaint = "Invalid client event: the name has 1 to 200 printable characters"
	errClientNotAString complaint = "Invalid client event: channel is missing or not a string"
)

// ReadLimit is what one frame of a client may have when its event's data has as
// many bytes as the most generous of the apps allows. Escapes make text up to
// three times as long: é has two bytes, \u00e9 six. (Only control characters
// grow more, and what consists of those is no JSON.)
func ReadLimit(apps []*diaphone.App) int {
	const longest, around = 3, 4 << 10 // around: names, signatures, punctuation
	most := diaphone.DefaultEventBytes
	for _, a := range apps {
		most = max(most, a.Limits.MaxEventBytes())
	}
	return longest*most + around
}

// whisper passes an event of this client on to the others in the channel.
func (c *client) whisper(in incoming) {
	err := c.mayWhisper(in)
	if err == nil {
		err = c.session.Emit(diaphone.ChannelName(in.channel), diaphone.Event{Name: in.event, Data: whispered(in.data)})
	}
	switch {
	case err == nil:
	case errors.Is(err, hub.ErrNotJoined):
		c.complain(errClientNotJoined.Error())
	case errors.Is(err, errTooFast):
		c.session.Send(errorFrame(codeTooFast, "The client event was not sent: at most "+
			strconv.Itoa(c.app.Limits.MaxClientEvents())+" a second from one connection"))
	default:
		c.complain(err.Error())
	}
}

var errTooFast = errors.New("too fast")

func (c *client) mayWhisper(in incoming) error {
	name := diaphone.ChannelName(in.channel)
	most := c.app.Limits.MaxEventBytes()
	switch {
	case !c.app.Channels.ClientEvents:
		return errClientEventsOff
	case in.channel == "":
		return errClientNotAString
	case diaphone.ValidateEventName(in.event) != nil:
		return errClientName
	case name.IsEncrypted():
		return errClientEncrypted
	case !name.NeedsAuth():
		return errClientKind
	case !c.session.Joined(name):
		return hub.ErrNotJoined
	case len(whispered(in.data)) > most:
		return complaint("The data content of this event exceeds the allowed maximum (" + strconv.Itoa(most) + " bytes)")
	case !c.mayEmit(time.Now()):
		return errTooFast
	}
	return nil
}

// whispered gives the data as the others receive it: always a string, for Swift's
// client reads nothing else. A client that sends none is taken to mean null.
func whispered(data jsontext.Value) string {
	if s, ok := text(data); ok {
		return s
	}
	if len(data) == 0 {
		return "null"
	}
	var b bytes.Buffer
	_ = json.Compact(&b, data) // data came out of a valid document
	return b.String()
}

func isClientEvent(name string) bool { return strings.HasPrefix(name, prefixClient) }
