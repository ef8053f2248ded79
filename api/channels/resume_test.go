package channels

import (
	"encoding/json"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

// resume subscribes from a position on, and gives what it is told of that.
func (v *visitor) resume(channel string, since any) (position string, complete bool) {
	v.t.Helper()
	data := map[string]any{"channel": channel, "since": since}
	if c := diaphone.ChannelName(channel); c.NeedsAuth() {
		data["auth"] = "app-key:" + sign("app-secret", channelText(v.id, c, ""))
	}
	v.emit("pusher:subscribe", data)
	v.expect("pusher_internal:subscription_succeeded", channel, "{}")
	return v.resumed(channel)
}

// resumed hears how the wish to resume a channel ended.
func (v *visitor) resumed(channel string) (position string, complete bool) {
	v.t.Helper()
	f := v.hear()
	var told struct {
		Channel, Position string
		Complete          bool
	}
	if f.Event != "diaphone:resumed" || f.Channel != "" || json.Unmarshal([]byte(f.text()), &told) != nil || told.Channel != channel {
		v.t.Fatalf("heard %+v", f)
	}
	return told.Position, told.Complete
}

func TestResume(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{
		History:      []diaphone.HistoryRule{{Prefix: "private-"}, {Prefix: "cache-"}},
		ClientEvents: true,
	}, diaphone.Limits{})
	ana, bob := h.join(), h.join()
	position, complete := ana.resume("private-x", "")
	if position == "" || complete {
		t.Errorf("to begin with: %q %v", position, complete)
	}
	bob.subscribe("private-x") // as an SDK does
	h.publish(`{"name":"e","data":"1","channel":"private-x"}`)
	f := ana.hear()
	if f.Event != "e" || f.Position == "" || f.Position == position {
		t.Errorf("heard %+v", f)
	}
	_ = ana.conn.Close()
	bob.hear()
	bob.whisper("client-x", "private-x", "1") // not kept
	h.publish(`{"name":"e","data":"2","channel":"private-x"}`)
	h.publish(`{"name":"e","data":"3","channel":"private-x","socket_id":"` + string(bob.id) + `"}`)
	last := bob.hear().Position
	ana = h.join()
	if position, complete = ana.resume("private-x", f.Position); !complete {
		t.Error("told of a gap")
	}
	for _, data := range []string{"2", "3"} {
		ana.t.Helper()
		f := ana.hear()
		if f.Event != "e" || f.text() != data || data == "2" && f.Position != last || data == "3" && f.Position != position {
			t.Errorf("heard %+v, want %s", f, data)
		}
	}
	ana.expectNothing()
	for since, want := range map[string]bool{position: true, "0123456789abcdef:1": false, "": false} {
		if _, complete := h.join().resume("private-x", since); complete != want {
			t.Errorf("since %q: %v", since, complete)
		}
	}
	if position, complete := ana.resume("news", last); position != "" || complete {
		t.Errorf("of a channel without history: %q %v", position, complete)
	}
	h.publish(`{"name":"e","data":"1","channel":"news"}`)
	ana.expect("e", "news", "1")
	if _, complete := ana.resume("cache-x", ""); complete {
		t.Error("complete from nothing")
	}
	ana.expect("pusher:cache_miss", "cache-x", "{}")
}

func TestSinceThatIsRefused(t *testing.T) {
	v := openFor(t, diaphone.ChannelSettings{History: []diaphone.HistoryRule{{}}}, diaphone.Limits{}).join()
	for _, since := range []any{7, "x", "x:-1", ":1", []int{}, map[string]string{}} {
		v.emit("pusher:subscribe", map[string]any{"channel": "news", "since": since})
		v.expectError(nil, "Invalid since")
		v.hear()
		v.expectNothing()
	}
	v.emit("pusher:subscribe", map[string]any{"channel": "news", "since": nil}) // does not ask
	v.expect("pusher_internal:subscription_succeeded", "news", "{}")
	v.expectNothing()
}

// The members of a frame, byte for byte, on a channel with history.
func TestFramesWithAPosition(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{History: []diaphone.HistoryRule{{}}, ClientEvents: true}, diaphone.Limits{})
	ana, bob := h.join(), h.join()
	ana.ask("presence-x", `{"user_id":"ana"}`)
	ana.hear()
	bob.ask("presence-x", `{"user_id":"bob"}`)
	bob.hear()
	h.publish(`{"name":"e","data":"1","channel":"presence-x"}`)
	var f frame
	payload := bob.read().Payload
	if err := json.Unmarshal(payload, &f); err != nil || string(payload) != `{"event":"e","channel":"presence-x","data":"1","position":"`+f.Position+`"}` {
		t.Errorf("heard %s: %v", payload, err)
	}
	ana.whisper("client-x", "presence-x", "2")
	if payload := string(bob.read().Payload); payload != `{"event":"client-x","channel":"presence-x","data":"2","user_id":"ana"}` {
		t.Errorf("heard %s", payload)
	}
}
