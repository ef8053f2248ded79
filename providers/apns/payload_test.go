package apns

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

const bundle = "com.example.chat"

func ptr(n int) *int { return &n }

// at is when the golden message is accepted.
var at = time.Unix(1_800_000_000, 0)

func golden(n diaphone.Notification) *diaphone.Message {
	return &diaphone.Message{
		ID: "msg_06f3k9q2v8c7h0a1b2c3d4e5f6", Notification: &n, AcceptedAt: at, Expires: n.Deadline(at),
	}
}

func TestPayloadsAndHeaders(t *testing.T) {
	const mid = `"_mid":"msg_06f3k9q2v8c7h0a1b2c3d4e5f6"`
	nid := `"_nid":"` + strings.Repeat("0", 36) + `"`
	for name, c := range map[string]struct {
		n       diaphone.Notification
		payload string
		header  map[string]string // beside the defaults
	}{
		"alert": {
			n:       diaphone.Notification{Title: "Ana", Body: "a < b & \"c\"", Data: map[string]string{"chat": "7", "Alpha": "é"}, TTL: ptr(60)},
			payload: `{"Alpha":"é",` + mid + `,"aps":{"alert":{"body":"a < b & \"c\"","title":"Ana"}},"chat":"7",` + nid + `}`,
			header:  map[string]string{"apns-expiration": "1800000060"},
		},
		"everything": {
			n: diaphone.Notification{
				Title: "Ana", Image: "https://example.com/a.png", CollapseID: "chat-7",
				Priority: diaphone.PriorityNormal, Badge: ptr(0), Sound: "default", TTL: ptr(0),
			},
			payload: `{` + mid + `,"aps":{"alert":{"title":"Ana"},"badge":0,"mutable-content":1,"sound":"default"},"image":"https://example.com/a.png",` + nid + `}`,
			header:  map[string]string{"apns-priority": "5", "apns-expiration": "0", "apns-collapse-id": "chat-7"},
		},
		"data only": {
			n:       diaphone.Notification{Data: map[string]string{"sync": "1"}},
			payload: `{` + mid + `,"aps":{"content-available":1},"sync":"1",` + nid + `}`,
			header:  map[string]string{"apns-push-type": "background", "apns-priority": "5"},
		},
		"overrides": {
			n: diaphone.Notification{Title: "Ana", Sound: "a.caf", Data: map[string]string{"chat": "7"}, APNs: &diaphone.APNsOverride{
				APS:  json.RawMessage(`{"sound":{"critical":1,"name":"b.caf","volume":0.5},"alert":{"subtitle":"from Ana"},"relevance-score":0.1,"big":12345678901234567890}`),
				Data: json.RawMessage(`{"chat":null,"nested":{"a":[1,2]}}`),
				Headers: map[string]string{
					"apns-priority": "1", "apns-expiration": "1900000000", "apns-collapse-id": "other", "apns-topic": "com.example.other",
				},
			}},
			payload: `{` + mid + `,"aps":{"alert":{"subtitle":"from Ana","title":"Ana"},"big":12345678901234567890,"relevance-score":0.1,` +
				`"sound":{"critical":1,"name":"b.caf","volume":0.5}},"nested":{"a":[1,2]},` + nid + `}`,
			header: map[string]string{
				"apns-priority": "1", "apns-expiration": "1900000000", "apns-collapse-id": "other", "apns-topic": "com.example.other",
			},
		},
		"a call": {
			n: diaphone.Notification{Data: map[string]string{"id": "1"}, TTL: ptr(0), APNs: &diaphone.APNsOverride{
				APS: json.RawMessage(`{"content-available":null}`), Headers: map[string]string{"apns-push-type": "voip"},
			}},
			payload: `{` + mid + `,"aps":{},"id":"1",` + nid + `}`,
			header:  map[string]string{"apns-push-type": "voip", "apns-topic": bundle + ".voip", "apns-expiration": "0"},
		},
		"mode voip": {
			n:       diaphone.Notification{Mode: diaphone.ModeVoIP, Data: map[string]string{"id": "1"}},
			payload: `{` + mid + `,"aps":{},"id":"1",` + nid + `}`,
			header:  map[string]string{"apns-push-type": "voip", "apns-topic": bundle + ".voip", "apns-expiration": "0"},
		},
		"mode background": {
			n:       diaphone.Notification{Mode: diaphone.ModeBackground, TTL: ptr(60)},
			payload: `{` + mid + `,"aps":{"content-available":1},` + nid + `}`,
			header:  map[string]string{"apns-push-type": "background", "apns-priority": "5", "apns-expiration": "1800000060"},
		},
		"mode data": {
			n:       diaphone.Notification{Mode: diaphone.ModeData, Data: map[string]string{"sync": "1"}, Priority: diaphone.PriorityHigh},
			payload: `{` + mid + `,"aps":{"content-available":1},"sync":"1",` + nid + `}`,
			header:  map[string]string{"apns-push-type": "background", "apns-priority": "5"},
		},
		"mode alert, its text translated by the app": {
			n: diaphone.Notification{Mode: diaphone.ModeAlert, Priority: diaphone.PriorityNormal,
				APNs: &diaphone.APNsOverride{APS: json.RawMessage(`{"alert":{"loc-key":"hello"}}`)}},
			payload: `{` + mid + `,"aps":{"alert":{"loc-key":"hello"}},` + nid + `}`,
			header:  map[string]string{"apns-priority": "5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := render(golden(c.n), bundle)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.payload(strings.Repeat("0", 36))); got != c.payload {
				t.Errorf("payload\n%s, want\n%s", got, c.payload)
			}
			want := map[string]string{
				"apns-push-type": "alert", "apns-priority": "10", "apns-topic": bundle, "apns-expiration": "1802419200",
			}
			maps.Copy(want, c.header)
			if got := r.fields(); !maps.Equal(got, want) {
				t.Errorf("header %v, want %v", got, want)
			}
		})
	}
}

func TestPushTypesHaveTheirTopics(t *testing.T) {
	for kind, suffix := range map[string]string{
		"alert": "", "background": "", "voip": ".voip", "complication": ".complication",
		"fileprovider": ".pushkit.fileprovider", "mdm": "", "location": ".location-query",
		"liveactivity": ".push-type.liveactivity", "pushtotalk": ".voip-ptt",
		"widgets": ".push-type.widgets", "controls": ".push-type.controls",
	} {
		m := golden(diaphone.Notification{Data: map[string]string{"a": "1"}, APNs: &diaphone.APNsOverride{Headers: map[string]string{"apns-push-type": kind}}})
		r, err := render(m, bundle)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		limit := 4096
		if kind == "voip" {
			limit = 5120
		}
		if r.topic != bundle+suffix || r.limit != limit {
			t.Errorf("%s: topic %s, limit %d", kind, r.topic, r.limit)
		}
	}
}

func TestRefusalsPointAtTheField(t *testing.T) {
	headers := func(name, value string) diaphone.Notification {
		return diaphone.Notification{Title: "a", APNs: &diaphone.APNsOverride{Headers: map[string]string{name: value}}}
	}
	raw := func(aps, data string) diaphone.Notification {
		return diaphone.Notification{Title: "a", APNs: &diaphone.APNsOverride{APS: json.RawMessage(aps), Data: json.RawMessage(data)}}
	}
	calm := diaphone.Notification{Data: map[string]string{"a": "b"}, APNs: &diaphone.APNsOverride{Headers: map[string]string{"apns-priority": "10"}}}
	const h = "/notification/apns/headers/"
	for i, c := range []struct {
		n       diaphone.Notification
		code    diaphone.Code
		pointer string
	}{
		{headers("authorization", "bearer x"), diaphone.Invalid, h + "authorization"},
		{headers("apns-id", "x"), diaphone.Invalid, h + "apns-id"},
		{headers("a/b~c", "x"), diaphone.Invalid, h + "a~1b~0c"},
		{headers("Apns-Priority", "5"), diaphone.Invalid, h + "Apns-Priority"},
		{headers("apns-priority", "7"), diaphone.Invalid, h + "apns-priority"},
		{headers("apns-push-type", "loud"), diaphone.Invalid, h + "apns-push-type"},
		{headers("apns-topic", "a b"), diaphone.Invalid, h + "apns-topic"},
		{headers("apns-topic", ""), diaphone.Invalid, h + "apns-topic"},
		{headers("apns-expiration", "-1"), diaphone.Invalid, h + "apns-expiration"},
		{headers("apns-expiration", "soon"), diaphone.Invalid, h + "apns-expiration"},
		{headers("apns-collapse-id", strings.Repeat("x", 65)), diaphone.Invalid, h + "apns-collapse-id"},
		{headers("apns-collapse-id", "a\r\nb: c"), diaphone.Invalid, h + "apns-collapse-id"},
		{calm, diaphone.Invalid, h + "apns-priority"},
		{diaphone.Notification{Title: "a", CollapseID: "a\nb"}, diaphone.Invalid, "/notification/collapse_id"},
		{raw(`[]`, ``), diaphone.Invalid, "/notification/apns/aps"},
		{raw(`{`, ``), diaphone.Invalid, "/notification/apns/aps"},
		{raw(`{} {}`, ``), diaphone.Invalid, "/notification/apns/aps"},
		{raw(``, `"x"`), diaphone.Invalid, "/notification/apns/data"},
		{raw(``, `{"aps":{}}`), diaphone.Invalid, "/notification/apns/data/aps"},
		{raw(``, `{"_nid":"x"}`), diaphone.Invalid, "/notification/apns/data/_nid"},
		{raw(``, `{"_mid":null}`), diaphone.Invalid, "/notification/apns/data/_mid"},
		{diaphone.Notification{Body: strings.Repeat("x", 5000)}, diaphone.TooLarge, "/notification"},
	} {
		_, err := render(golden(c.n), bundle)
		var e *diaphone.Error
		if !errors.As(err, &e) || e.Code != c.code || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer {
			t.Errorf("case %d: %v, want %s at %s", i, err, c.code, c.pointer)
		}
	}
}

func TestTooLargeSaysHowLarge(t *testing.T) {
	m := golden(diaphone.Notification{Body: strings.Repeat("x", 5000)})
	_, err := render(m, bundle)
	size := 5000 + len(`{"_mid":"","aps":{"alert":{"body":""}},"_nid":""}`) + len(m.ID) + 36
	want := fmt.Sprintf("the APNs payload has %d bytes, the limit is 4096", size)
	var e *diaphone.Error
	if !errors.As(err, &e) || e.Detail != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestTheWireHasWhatRenderSays: for every kind of message, to the byte.
func TestTheWireHasWhatRenderSays(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	token := lab.Device("ana", "ios")
	for i, n := range []diaphone.Notification{
		{Title: "Ana", Body: "hello & <goodbye>\u2028", TTL: ptr(0)},
		{Data: map[string]string{"sync": "1"}},
		{Badge: ptr(3), Priority: diaphone.PriorityNormal, CollapseID: "badge"},
		{Title: "x", APNs: &diaphone.APNsOverride{APS: json.RawMessage(`{"interruption-level":"passive"}`), Headers: map[string]string{"apns-expiration": "0"}}},
	} {
		d := providertest.Delivery(providertest.Message(n), diaphone.TokenAPNs, token)
		r, err := p.Render(d.Message)
		if err != nil {
			t.Fatal(err)
		}
		if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
			t.Fatalf("case %d: %+v", i, o)
		}
		got := lab.Inbox("ana")[0]
		want := strings.Replace(string(r.Payload), strings.Repeat("0", 36), d.ID, 1)
		if compact(t, got.Payload) != compact(t, []byte(want)) {
			t.Errorf("case %d: sent\n%s, rendered\n%s", i, got.Payload, want)
		}
		for _, name := range []string{"apns-push-type", "apns-priority", "apns-topic", "apns-expiration", "apns-collapse-id"} {
			if got.Headers[name] != r.Header[name] {
				t.Errorf("case %d: %s %q, rendered %q", i, name, got.Headers[name], r.Header[name])
			}
		}
	}
}

// compact forgives what the simulator's own JSON does to the payload on its way
// back to the test: it escapes <, > and &.
func compact(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
