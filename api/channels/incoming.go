package channels

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// unmarshal reads JSON as SDKs write it: members that we do not know are passed over,
// and of two with one name the last counts.
func unmarshal(text []byte, into any) error {
	return json.Unmarshal(text, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// incoming is a frame of a client. Its parts are kept as they came, for a client
// may put any type anywhere and must get an answer that says what was wrong.
type incoming struct {
	event   string
	channel string
	data    jsontext.Value
}

// complaint is a mistake of a client, in the words that it is told.
type complaint string

func (c complaint) Error() string { return string(c) }

const (
	errNotJSON complaint = "Invalid message: not a JSON object"
	errNoEvent complaint = "Invalid message: event is missing or not a string"
)

// parse reads a frame. Members it does not know are passed over.
func parse(payload []byte) (incoming, error) {
	var raw struct {
		Event   jsontext.Value `json:"event"`
		Channel jsontext.Value `json:"channel"`
		Data    jsontext.Value `json:"data"`
	}
	if unmarshal(payload, &raw) != nil {
		return incoming{}, errNotJSON
	}
	event, _ := text(raw.Event)
	if event == "" {
		return incoming{}, errNoEvent
	}
	channel, _ := text(raw.Channel)
	return incoming{event: event, channel: channel, data: raw.Data}, nil
}

// arguments reads the data of a protocol event into a struct of raw members. SDKs
// send an object; a string that holds one, null and nothing are taken too.
func (in incoming) arguments(into any) error {
	data := []byte(in.data)
	if s, ok := text(in.data); ok {
		data = []byte(s)
	}
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	if unmarshal(data, into) != nil {
		return complaint("Invalid data in " + clip(in.event) + ": not an object")
	}
	return nil
}

// text reads a JSON string; ok is false for anything else.
func text(raw jsontext.Value) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	// Bad surrogates are replaced, as everywhere; it comes out of a valid document.
	var short [512]byte // most are, and so not on the heap
	plain, _ := jsontext.AppendUnquote(short[:0], raw)
	return string(plain), true
}

// optionalText is text, and the empty string for what is null or missing.
func optionalText(raw jsontext.Value) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", true
	}
	return text(raw)
}

// userID reads the id of a presence member: a string, or a whole number, which
// Pusher's own examples send and which counts as its decimal text.
func userID(raw jsontext.Value) (string, bool) {
	if s, ok := text(raw); ok {
		return s, s != ""
	}
	digits := strings.TrimPrefix(string(raw), "-")
	whole := digits != "" && strings.Trim(digits, "0123456789") == ""
	return string(raw), whole
}
