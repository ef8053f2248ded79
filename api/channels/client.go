package channels

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/sockets"
)

// client is the protocol's side of one connection. It hears of it one call at a
// time, so it needs no lock.
type client struct {
	app      *diaphone.App
	signers  map[string]*signer // of all keys
	session  *hub.Session
	protocol int
	info     jsontext.Value // user_info of the signed-in user
	pace     pace
	since    known // from where it resumes; nil: it has not asked to follow
}

// OnMessage implements sockets.Handler.
func (c *client) OnMessage(_ *sockets.Conn, payload []byte) {
	if !c.mayTalk(time.Now()) {
		c.hush()
		return
	}
	in, err := parse(payload)
	if err != nil {
		c.complain(err.Error())
		return
	}
	switch {
	case in.event == "pusher:ping":
		c.session.Send(pong())
	case in.event == "pusher:pong":
	case in.event == "pusher:subscribe":
		c.subscribe(in)
	case in.event == "pusher:unsubscribe":
		c.unsubscribe(in)
	case in.event == "diaphone:follow":
		c.follow(in)
	case in.event == "pusher:signin":
		c.signIn(in)
	case in.event == "diaphone:receipt":
		c.receipt(in)
	case isClientEvent(in.event):
		c.whisper(in)
	default:
		c.complain("Unsupported event received on socket: " + clip(in.event))
	}
}

// receipt takes the app's word that it has taken a message.
func (c *client) receipt(in incoming) {
	var args struct {
		MessageID jsontext.Value `json:"message_id"`
	}
	if err := in.arguments(&args); err != nil {
		c.complain(err.Error())
		return
	}
	id, _ := text(args.MessageID)
	if _, ok := diaphone.MessageID(id).Bytes(); !ok {
		c.complain("Invalid data in diaphone:receipt: message_id should be the id of a message")
		return
	}
	c.session.Receipt(diaphone.MessageID(id))
}

// OnPong implements sockets.Handler.
func (c *client) OnPong(_ *sockets.Conn, fence uint64) { c.session.Pong(fence) }

// OnClose implements sockets.Handler.
func (c *client) OnClose(*sockets.Conn, int) { c.session.End() }

// complain tells of a mistake; the connection stays, as on hosted.
func (c *client) complain(message string) { c.session.Send(errorFrame(0, message)) }

// turned is the handler of a connection that was refused: it only waits for the
// peer to close.
type turned struct{}

// OnMessage implements sockets.Handler.
func (turned) OnMessage(*sockets.Conn, []byte) {}

// OnPong implements sockets.Handler.
func (turned) OnPong(*sockets.Conn, uint64) {}

// OnClose implements sockets.Handler.
func (turned) OnClose(*sockets.Conn, int) {}
