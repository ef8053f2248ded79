package matrix

import (
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// situation is a user, what is connected for them, what is registered, and what must
// come of a message with an event and a notification.
type situation struct {
	name    string
	sockets []socket
	devices []device // none: one of the user's, which must get what phone says
	phone   verdict
	toUser  bool   // the message is to the user, and not to the channel
	batch   bool   // the message comes in one
	channel string // how its name begins; none: presence-
	when    diaphone.When
	confirm wire.Confirm
}

// socket is one client of the user's. The zero value is in Node, over a WebSocket, in
// the channel as its member if it has presence, and lives.
type socket struct {
	transport string  // none: ws
	tab       string  // of Chromium: visible or hidden; none: it is in Node
	signedIn  bool    // as the user
	elsewhere bool    // not in the message's channel
	receipts  bool    // it says when it has taken a message
	fate      fate    // just before the message
	event     hearing // what must become of the event
}

type device struct {
	nobodys bool // it is registered without a user
	phone   verdict
}

// verdict is what must become of the push.
type verdict string

const (
	never     verdict = "never"
	atOnce    verdict = "at once"
	afterWait verdict = "after the wait"
)

// hearing is what must become of the event at a client.
type hearing string

const (
	heard hearing = "heard"
	late  hearing = "late" // when the client goes on
	lost  hearing = "not heard"
)

// fate is what happens to a client.
type fate string

const (
	lives     fate = ""
	suspended fate = "suspended" // it does nothing until all is over
	dozing    fate = "dozing"    // it does nothing until the phone waits for the proof
	halfOpen  fate = "half-open" // its network is gone, and nobody is told
	cut       fate = "cut"       // its connection ends right behind the event
	killed    fate = "killed"
)

var situations = []situation{
	{name: "no socket", phone: atOnce},
	{name: "a member", sockets: []socket{{event: heard}}, phone: never},
	{name: "signed in, private channel", channel: "private-", sockets: []socket{{signedIn: true, event: heard}}, phone: never},
	{name: "signed in, to the user", toUser: true, sockets: []socket{{signedIn: true, event: heard}}, phone: never},
	{name: "signed in, to the user, gone", toUser: true, sockets: []socket{{signedIn: true, fate: suspended, event: late}}, phone: afterWait},
	{name: "nobody knows who", channel: "private-", sockets: []socket{{event: heard}}, phone: atOnce},
	{name: "Chromium, in front", sockets: []socket{{tab: "visible", event: heard}}, phone: never},
	{name: "Chromium, behind", sockets: []socket{{tab: "hidden", event: heard}}, phone: never},
	{name: "suspended", sockets: []socket{{fate: suspended, event: late}}, phone: afterWait},
	{name: "dozing", confirm: wire.Confirm{Within: 20}, sockets: []socket{{fate: dozing, event: heard}}, phone: never},
	{name: "half-open", sockets: []socket{{fate: halfOpen, event: lost}}, phone: afterWait},
	{name: "half-open, a shorter wait", confirm: wire.Confirm{Within: 0.5}, sockets: []socket{{fate: halfOpen, event: lost}}, phone: afterWait},
	{name: "cut behind the event", sockets: []socket{{fate: cut, event: heard}}, phone: atOnce},
	{name: "one of two suspended", sockets: []socket{{fate: suspended, event: late}, {event: heard}}, phone: never},
	{name: "one of two half-open", sockets: []socket{{event: heard}, {fate: halfOpen, event: lost}}, phone: never},
	{name: "both of two gone", sockets: []socket{{fate: suspended, event: late}, {fate: halfOpen, event: lost}}, phone: afterWait},
	{name: "in another channel", sockets: []socket{{elsewhere: true, event: lost}}, phone: atOnce},
	{name: "signed in, in another channel", sockets: []socket{{elsewhere: true, signedIn: true, event: lost}}, phone: atOnce},
	{name: "by receipt, none", confirm: wire.Confirm{By: diaphone.ByReceipt}, sockets: []socket{{event: heard}}, phone: afterWait},
	{name: "by receipt", confirm: wire.Confirm{By: diaphone.ByReceipt}, sockets: []socket{{receipts: true, event: heard}}, phone: never},
	{name: "by receipt, to the user", confirm: wire.Confirm{By: diaphone.ByReceipt}, toUser: true,
		sockets: []socket{{signedIn: true, receipts: true, event: heard}}, phone: never},
	{name: "always", when: diaphone.Always, sockets: []socket{{event: heard}}, phone: atOnce},
	{name: "in a batch", batch: true, sockets: []socket{{event: heard}}, phone: never},
	{name: "in a batch, by receipt", batch: true, confirm: wire.Confirm{Within: 1, By: diaphone.ByReceipt}, sockets: []socket{{event: heard}}, phone: afterWait},
	{name: "two devices", sockets: []socket{{event: heard}}, devices: []device{{phone: never}, {phone: never}}},
	{name: "two devices, suspended", sockets: []socket{{fate: suspended, event: late}}, devices: []device{{phone: afterWait}, {phone: afterWait}}},
	{name: "a device of nobody's", sockets: []socket{{event: heard}}, devices: []device{{phone: never}, {nobodys: true, phone: atOnce}}},
	{name: "streaming", sockets: []socket{{transport: "xhr_streaming", event: heard}}, phone: never},
	{name: "streaming, suspended", sockets: []socket{{transport: "xhr_streaming", fate: suspended, event: late}}, phone: afterWait},
	{name: "streaming, killed", sockets: []socket{{transport: "xhr_streaming", fate: killed, event: lost}}, phone: atOnce},
	{name: "polling", sockets: []socket{{transport: "xhr_polling", event: heard}}, phone: never},
	{name: "polling, suspended", sockets: []socket{{transport: "xhr_polling", fate: suspended, event: late}}, phone: afterWait},
	{name: "polling by receipt", confirm: wire.Confirm{By: diaphone.ByReceipt},
		sockets: []socket{{transport: "xhr_polling", receipts: true, event: heard}}, phone: never},
}

// wait is how long the phone waits for the proof.
func (s *situation) wait() time.Duration {
	if s.confirm.Within == 0 {
		return diaphone.DefaultConfirmWithin
	}
	return time.Duration(s.confirm.Within * float64(time.Second))
}

// allDevices are the user's, and what must become of the push at each.
func (s *situation) allDevices() []device {
	if len(s.devices) == 0 {
		return []device{{phone: s.phone}}
	}
	return s.devices
}
