package channels

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func whispering() diaphone.ChannelSettings { return diaphone.ChannelSettings{ClientEvents: true} }

// whisper sends a client event with data that is JSON.
func (v *visitor) whisper(event, channel, data string) {
	v.t.Helper()
	v.say(fmt.Sprintf(`{"event":%q,"channel":%q,"data":%s}`, event, channel, data))
}

func TestClientEvents(t *testing.T) {
	h := openFor(t, whispering(), diaphone.Limits{ClientEvents: 100})
	ana, bob, eve := h.join(), h.join(), h.join()
	for _, v := range []*visitor{ana, bob} {
		v.subscribe("private-x")
		v.subscribe("private-cache-x")
		v.hear() // pusher:cache_miss
	}
	eve.subscribe("private-y")
	for _, channel := range []string{"private-x", "private-cache-x"} {
		for data, want := range map[string]string{
			`{"on" : true}`:            `{"on":true}`,
			`"{\"on\": true}"`:         `{"on": true}`, // a string goes on byte for byte, as of Java
			`"plain <text>"`:           `plain <text>`,
			`[1, 2]`:                   `[1,2]`,
			`null`:                     `null`,
			`7`:                        `7`,
			`"` + `\u00fc\u2028` + `"`: "ü\u2028",
		} {
			ana.whisper("client-typing", channel, data)
			bob.expect("client-typing", channel, want)
		}
		ana.say(`{"event":"client-bare","channel":"` + channel + `"}`)
		bob.expect("client-bare", channel, "null")
	}
	ana.expectNothing() // never its own
	eve.expectNothing()
}

// On a presence channel the event says which member sent it; a client cannot say
// so itself.
func TestClientEventsCarryTheMember(t *testing.T) {
	h := openFor(t, whispering(), diaphone.Limits{})
	ana, bob := h.join(), h.join()
	ana.ask("presence-x", `{"user_id":7}`)
	ana.hear()
	bob.ask("presence-x", `{"user_id":"bob"}`)
	bob.hear()
	ana.hear() // bob has come
	bob.subscribe("private-x")
	ana.subscribe("private-x")
	ana.say(`{"event":"client-x","channel":"presence-x","data":"1","user_id":"bob"}`)
	if f := bob.hear(); f.Event != "client-x" || f.UserID != "7" || f.text() != "1" {
		t.Errorf("heard %+v", f)
	}
	ana.say(`{"event":"client-x","channel":"private-x","data":"1","user_id":"bob"}`)
	if f := bob.hear(); f.UserID != "" {
		t.Errorf("on a private channel: %+v", f)
	}
	h.publish(`{"name":"e","data":"1","channel":"presence-x"}`)
	if f := bob.hear(); f.Event != "e" || f.UserID != "" {
		t.Errorf("of the API: %+v", f)
	}
}

func TestClientEventsThatAreRefused(t *testing.T) {
	h := openFor(t, whispering(), diaphone.Limits{EventBytes: 20})
	ana, bob := h.join(), h.join()
	for _, v := range []*visitor{ana, bob} {
		for _, channel := range []string{"private-x", "pub", "private-encrypted-x"} {
			v.subscribe(channel)
		}
	}
	bob.subscribe("private-y")
	for name, c := range map[string]struct{ event, channel, data, part string }{
		"another name":      {"typing", "private-x", `1`, "Unsupported event received on socket: typing"},
		"of the protocol":   {"pusher:error", "private-x", `1`, "Unsupported event"},
		"internal":          {"pusher_internal:member_added", "private-x", `1`, "Unsupported event"},
		"name too long":     {"client-" + strings.Repeat("x", 194), "private-x", `1`, "Invalid client event"},
		"unprintable name":  {`client-\n`, "private-x", `1`, "Invalid client event"},
		"public channel":    {"client-x", "pub", `1`, "private and presence channels only"},
		"user's channel":    {"client-x", "#server-to-user-1", `1`, "private and presence channels only"},
		"encrypted channel": {"client-x", "private-encrypted-x", `1`, "encrypted"},
		"not subscribed":    {"client-x", "private-y", `1`, "subscribed to"},
		"no channel":        {"client-x", "", `1`, "channel is missing"},
		"21 bytes":          {"client-x", "private-x", `"` + strings.Repeat("x", 21) + `"`, "allowed maximum (20 bytes)"},
		"21 bytes of JSON":  {"client-x", "private-x", `["` + strings.Repeat("x", 17) + `"]`, "allowed maximum (20 bytes)"},
	} {
		t.Run(name, func(t *testing.T) {
			ana.t, bob.t = t, t
			ana.say(`{"event":"` + c.event + `","channel":"` + c.channel + `","data":` + c.data + `}`)
			ana.expectError(nil, c.part)
			bob.expectNothing()
		})
	}
	ana.t, bob.t = t, t
	ana.whisper("client-x", "private-x", `"`+strings.Repeat("x", 20)+`"`)
	bob.expect("client-x", "private-x", strings.Repeat("x", 20))
	ana.emit("pusher:unsubscribe", map[string]string{"channel": "private-x"})
	ana.whisper("client-x", "private-x", `1`)
	ana.expectError(nil, "subscribed to")
}

func TestClientEventsAreOffByDefault(t *testing.T) {
	v := open(t).join()
	v.subscribe("private-x")
	v.whisper("client-x", "private-x", `1`)
	v.expectError(nil, "enable this feature")
}

// Over the rate an event is dropped and told; the connection lives, for 4301 as a
// close code would stop pusher-js for good.
func TestClientEventsOverTheRate(t *testing.T) {
	h := openFor(t, whispering(), diaphone.Limits{ClientEvents: 2})
	ana, bob, eve := h.join(), h.join(), h.join()
	for _, v := range []*visitor{ana, bob, eve} {
		v.subscribe("private-x")
	}
	const many = 50 // even a machine that halts for seconds drops some
	for n := range many {
		ana.whisper("client-x", "private-x", fmt.Sprint(n))
	}
	ana.say(`{"event":"pusher:ping"}`)
	dropped := 0
	for f := ana.hear(); f.Event != "pusher:pong"; f = ana.hear() {
		var data struct{ Code int }
		if json.Unmarshal(f.Data, &data) != nil || f.Event != "pusher:error" || data.Code != codeTooFast {
			t.Fatalf("heard %+v", f)
		}
		dropped++
	}
	if dropped == 0 || dropped > many-2 {
		t.Errorf("%d of %d were dropped", dropped, many)
	}
	eve.whisper("client-end", "private-x", `1`) // another connection has a rate of its own
	came := 0
	for f := bob.hear(); f.Event != "client-end"; f = bob.hear() {
		came++
	}
	if came+dropped != many {
		t.Errorf("%d came and %d were dropped of %d", came, dropped, many)
	}
}

// As many bytes as an event may have fit into a frame however they are escaped.
func TestTheReadLimitHasRoom(t *testing.T) {
	h := openFor(t, whispering(), diaphone.Limits{})
	ana, bob := h.join(), h.join()
	ana.subscribe("private-x")
	bob.subscribe("private-x")
	for data, want := range map[string]string{
		strings.Repeat(`\"`, 10240):       strings.Repeat(`"`, 10240),
		strings.Repeat(`\u00e9`, 10240/2): strings.Repeat("é", 10240/2),
	} {
		ana.whisper("client-x", "private-x", `"`+data+`"`)
		bob.expect("client-x", "private-x", want)
	}
	ana.whisper("client-x", "private-x", `"`+strings.Repeat(`\"`, 10241)+`"`)
	ana.expectError(nil, "allowed maximum (10240 bytes)")
	if n := ReadLimit([]*diaphone.App{{}, {Limits: diaphone.Limits{EventBytes: 100 << 10}}}); n < 300<<10 {
		t.Errorf("100 KiB events in frames of %d bytes", n)
	}
}
