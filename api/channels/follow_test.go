package channels

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

// follow asks for positions, and to resume from some.
func (v *visitor) follow(since map[string]any) {
	v.t.Helper()
	v.emit("diaphone:follow", map[string]any{"since": since})
	v.expect("diaphone:following", "", "{}")
}

// told hears an event behind its position.
func (v *visitor) told(event, channel, data string) (position string) {
	v.t.Helper()
	f := v.hear()
	var p struct{ Channel, Position string }
	if f.Event != "diaphone:position" || f.Channel != "" || json.Unmarshal([]byte(f.text()), &p) != nil || p.Channel != channel || p.Position == "" {
		v.t.Fatalf("heard %+v, want the position of %s", f, data)
	}
	if f = v.hear(); f.Event != event || f.Channel != channel || f.text() != data || f.Position != p.Position {
		v.t.Fatalf("heard %+v at %s, want %s %s", f, p.Position, event, data)
	}
	return p.Position
}

// Who follows subscribes as a stock SDK does, and loses nothing all the same.
func TestFollow(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{
		History:      []diaphone.HistoryRule{{Prefix: "private-"}, {Prefix: "log-"}},
		ClientEvents: true,
	}, diaphone.Limits{})
	ana, bob := h.join(), h.join()
	ana.follow(nil)
	starts := map[string]string{}
	for _, c := range []string{"private-x", "private-encrypted-x", "log-1", "news"} {
		ana.subscribe(c)
		position, complete := ana.resumed(c)
		if complete || (position == "") != (c == "news") {
			t.Errorf("%s begins at %q %v", c, position, complete)
		}
		starts[c] = position
	}
	bob.subscribe("private-x")
	bob.whisper("client-x", "private-x", "0") // has no position
	ana.expect("client-x", "private-x", "0")
	h.publish(`{"name":"e","data":"1","channel":"private-x"}`)
	bob.expect("e", "private-x", "1") // who did not ask is told nothing
	first := ana.told("e", "private-x", "1")
	h.publish(`{"name":"e","data":"1","channel":"news"}`)
	ana.expect("e", "news", "1")
	_ = ana.conn.Close()
	h.publish(`{"name":"e","data":"2","channels":["private-x","log-1","private-encrypted-x"]}`)

	ana = h.join()
	ana.follow(map[string]any{"private-x": first})
	ana.follow(map[string]any{"log-1": starts["log-1"], "private-encrypted-x": starts["private-encrypted-x"], "news": ""})
	for _, c := range []string{"log-1", "private-x", "private-encrypted-x"} {
		ana.subscribe(c)
		if _, complete := ana.resumed(c); !complete {
			t.Errorf("%s: told of a gap", c)
		}
		ana.told("e", c, "2")
	}
	ana.subscribe("news")
	if position, complete := ana.resumed("news"); position != "" || complete {
		t.Errorf("of a channel without history: %q %v", position, complete)
	}
	ana.expectNothing()
	ana.emit("pusher:unsubscribe", map[string]string{"channel": "log-1"})
	ana.subscribe("log-1") // anew: it has left, so it is owed nothing
	if _, complete := ana.resumed("log-1"); complete {
		t.Error("resumed what it had left")
	}
	if _, complete := h.join().resume("log-1", starts["log-1"]); !complete { // both ways lead there
		t.Error("since in the subscription: told of a gap")
	}
}

// A wish that cannot be read changes nothing.
func TestFollowThatIsRefused(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{History: []diaphone.HistoryRule{{}}}, diaphone.Limits{Channels: 2})
	v := h.join()
	many := map[string]any{}
	for n := range 3 {
		many[fmt.Sprint("c", n)] = ""
	}
	for _, c := range []struct {
		data any
		says string
	}{
		{[]int{}, "not an object"},
		{map[string]any{"since": 7}, "not an object"},
		{map[string]any{"since": map[string]any{"a": 7}}, "Invalid since"},
		{map[string]any{"since": map[string]any{"a": "x:-1"}}, "Invalid since"},
		{map[string]any{"since": many}, "more channels"},
	} {
		v.emit("diaphone:follow", c.data)
		v.expectError(nil, c.says)
	}
	v.subscribe("a") // and it does not follow
	v.expectNothing()
	v.emit("diaphone:follow", nil)
	v.expectError(nil, "before the first subscription")
	v.emit("pusher:unsubscribe", map[string]string{"channel": "a"})
	v.follow(map[string]any{"a": ""})
	v.follow(map[string]any{"b": ""})
	v.emit("diaphone:follow", map[string]any{"since": map[string]any{"c": ""}})
	v.expectError(nil, "more channels")
}
