package channels

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/sockets"
)

// wire writes frames of the Pusher protocol. The data of every event is a JSON
// string that holds JSON, for Swift's and Java's clients read nothing else; only
// pusher:error and pusher:signin_success carry an object, for Swift's and .NET's
// read that.
type wire struct {
	positions bool // are told before their events, where a history gives them: docs/history.md
}

var _ hub.Protocol = wire{}

// Event implements hub.Protocol. The data goes out byte for byte.
func (w wire) Event(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame {
	if e.Sender == "" && e.Position.Epoch == "" && e.Message == "" {
		return channelFrame(e.Name, c, e.Data)
	}
	b := appendEvent(nil, e.Name, c, e.Data)
	if e.Sender != "" {
		b = append(b, `,"user_id":`...)
		b = appendQuote(b, string(e.Sender))
	}
	if e.Message != "" {
		b = append(b, `,"message_id":`...)
		b = appendQuote(b, string(e.Message))
	}
	if e.Position.Epoch != "" { // SDKs pass over members that they do not know
		b = append(b, `,"position":`...)
		b = appendQuote(b, e.Position.String())
	}
	event := sockets.Text(append(b, '}'))
	if e.Position.Epoch != "" && w.positions {
		return sockets.Join(position(c, e.Position), event)
	}
	return event
}

// position tells the position of the event that follows. It names the channel in its
// data and not beside it: what comes with a channel, stock SDKs hand to the channel,
// and an encrypted one takes it for a broken event.
func position(c diaphone.ChannelName, p diaphone.Position) *sockets.Frame {
	return ours("diaphone:position", `{"channel":`+string(quote(string(c)))+`,"position":`+string(quote(p.String()))+`}`)
}

// Resumed implements hub.Protocol.
func (wire) Resumed(c diaphone.ChannelName, position diaphone.Position, complete bool) *sockets.Frame {
	return ours("diaphone:resumed", `{"channel":`+string(quote(string(c)))+`,"position":`+string(quote(position.String()))+
		`,"complete":`+strconv.FormatBool(complete)+`}`)
}

// ours is an event of the connection that Pusher's protocol does not have.
func ours(event, data string) *sockets.Frame { return connectionFrame(event, quote(data)) }

// Subscribed implements hub.Protocol.
func (wire) Subscribed(c diaphone.ChannelName, roster []hub.Member) *sockets.Frame {
	data := "{}" // Swift drops the event when there is no data
	if roster != nil {
		data = presence(roster)
	}
	return channelFrame("pusher_internal:subscription_succeeded", c, data)
}

// Missed implements hub.Protocol.
func (wire) Missed(c diaphone.ChannelName) *sockets.Frame {
	return channelFrame("pusher:cache_miss", c, "{}")
}

// MemberAdded implements hub.Protocol.
func (wire) MemberAdded(c diaphone.ChannelName, m hub.Member) *sockets.Frame {
	b := append([]byte(`{"user_id":`), quote(string(m.User))...)
	b = append(b, `,"user_info":`...)
	b = append(b, info(m)...)
	return channelFrame("pusher_internal:member_added", c, string(append(b, '}')))
}

// MemberRemoved implements hub.Protocol.
func (wire) MemberRemoved(c diaphone.ChannelName, u diaphone.UserID) *sockets.Frame {
	return channelFrame("pusher_internal:member_removed", c, `{"user_id":`+string(quote(string(u)))+`}`)
}

// Count implements hub.Protocol.
func (wire) Count(c diaphone.ChannelName, n int) *sockets.Frame {
	return channelFrame("pusher_internal:subscription_count", c, `{"subscription_count":`+strconv.Itoa(n)+`}`)
}

// ReceiptWanted implements hub.Protocol.
func (wire) ReceiptWanted(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame {
	return channelFrame("diaphone:receipt_wanted", c, `{"message_id":`+string(quote(string(e.Message)))+`,"event":`+string(quote(e.Name))+`}`)
}

// Watchlist implements hub.Protocol.
func (wire) Watchlist(online, offline []diaphone.UserID) *sockets.Frame {
	data := []byte(`{"events":[`)
	for _, change := range []struct {
		name  string
		users []diaphone.UserID
	}{{"online", online}, {"offline", offline}} {
		if len(change.users) == 0 {
			continue
		}
		if data[len(data)-1] == '}' {
			data = append(data, ',')
		}
		data = append(data, `{"name":"`+change.name+`","user_ids":[`...)
		for i, u := range change.users {
			if i > 0 {
				data = append(data, ',')
			}
			data = appendQuote(data, string(u))
		}
		data = append(data, `]}`...)
	}
	return connectionFrame("pusher_internal:watchlist_events", quote(string(data)+`]}`))
}

// presence writes the list of members. Java and .NET walk ids, JavaScript and
// Swift read hash and count: all three, of one mind, and hash is always an object.
func presence(roster []hub.Member) string {
	ids, hash := []byte(nil), []byte(nil)
	for i, m := range roster {
		if i > 0 {
			ids, hash = append(ids, ','), append(hash, ',')
		}
		ids = append(ids, quote(string(m.User))...)
		hash = append(hash, quote(string(m.User))...)
		hash = append(hash, ':')
		hash = append(hash, info(m)...)
	}
	return `{"presence":{"ids":[` + string(ids) + `],"hash":{` + string(hash) + `},"count":` + strconv.Itoa(len(roster)) + `}}`
}

func info(m hub.Member) []byte {
	if len(m.Info) == 0 {
		return []byte("{}")
	}
	return m.Info
}

func channelFrame(event string, c diaphone.ChannelName, data string) *sockets.Frame {
	b := make([]byte, 0, len(event)+len(c)+len(data)+len(data)/8+64)
	return sockets.Text(append(appendEvent(b, event, c, data), '}'))
}

// appendEvent writes an event of a channel but for the brace at its end.
func appendEvent(b []byte, event string, c diaphone.ChannelName, data string) []byte {
	b = append(b, `{"event":`...)
	b = appendQuote(b, event)
	b = append(b, `,"channel":`...)
	b = appendQuote(b, string(c))
	b = append(b, `,"data":`...)
	return appendQuote(b, data)
}

func established(id diaphone.SocketID, activity int) *sockets.Frame {
	data := `{"socket_id":"` + string(id) + `","activity_timeout":` + strconv.Itoa(activity) + `}`
	return connectionFrame("pusher:connection_established", quote(data))
}

func pong() *sockets.Frame { return connectionFrame("pusher:pong", quote("{}")) }

func signedIn(userData string) *sockets.Frame {
	return connectionFrame("pusher:signin_success", []byte(`{"user_data":`+string(quote(userData))+`}`))
}

// errorFrame is about the connection as a whole; code 0 is none.
func errorFrame(code int, message string) *sockets.Frame {
	text := "null"
	if code != 0 {
		text = strconv.Itoa(code)
	}
	return connectionFrame("pusher:error", []byte(`{"code":`+text+`,"message":`+string(quote(message))+`}`))
}

func connectionFrame(event string, data []byte) *sockets.Frame {
	b := make([]byte, 0, len(event)+len(data)+32)
	b = appendQuote(append(b, `{"event":`...), event)
	b = append(append(b, `,"data":`...), data...)
	return sockets.Text(append(b, '}'))
}

func quote(s string) []byte { return appendQuote(nil, s) }

// appendQuote writes a JSON string with no more escapes than JSON asks for.
func appendQuote(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // invalid UTF-8 was refused at the door, and is replaced here
	return b
}
