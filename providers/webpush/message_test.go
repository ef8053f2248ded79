package webpush

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/internal/exchange"
	"github.com/diaphone-dev/diaphone/providers/providertest"
)

func rendered8030(t *testing.T, n diaphone.Notification) (headers map[string]string, document map[string]any) {
	t.Helper()
	m := providertest.Message(n)
	m.ID = "msg_01k0g3v7q6f0a8z0y2x4w6v8u0"
	r, err := render(m, "https://chat.example.com/", 600)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.payload("0198c2a4-0000-7000-8000-000000000000"), &document); err != nil {
		t.Fatalf("%v in %s", err, r.payload("id"))
	}
	return r.fields(), document
}

func TestPayloads(t *testing.T) {
	three, ids := 3, `"_mid":"msg_01k0g3v7q6f0a8z0y2x4w6v8u0","_nid":"0198c2a4-0000-7000-8000-000000000000"`
	const tag = `"tag":"msg_01k0g3v7q6f0a8z0y2x4w6v8u0"`
	for name, c := range map[string]struct {
		n    diaphone.Notification
		want string
	}{
		"title and body": {diaphone.Notification{Title: "Ana", Body: "hé <&>", Data: map[string]string{"chat": "7"}},
			`{"web_push":8030,"notification":{"title":"Ana","body":"hé <&>","navigate":"https://chat.example.com/",` + tag + `,"data":{"chat":"7",` + ids + `}}}`},
		"body alone": {diaphone.Notification{Body: "hello"},
			`{"web_push":8030,"notification":{"title":"hello","navigate":"https://chat.example.com/",` + tag + `,"data":{` + ids + `}}}`},
		"all": {diaphone.Notification{Title: "t", Image: "https://i.example/x.png", Badge: &three, CollapseID: "chat/7", Sound: "default"},
			`{"web_push":8030,"notification":{"title":"t","navigate":"https://chat.example.com/","image":"https://i.example/x.png","app_badge":3,"tag":"chat/7","data":{` + ids + `}}}`},
		"data alone bears no mark": {diaphone.Notification{Data: map[string]string{"sync": "1"}},
			`{"notification":{"navigate":"https://chat.example.com/",` + tag + `,"data":{"sync":"1",` + ids + `}}}`},
		"override": {diaphone.Notification{Title: "t", Data: map[string]string{"a": "1"},
			WebPush: []byte(`{"mutable":true,"notification":{"navigate":"/chat/7","icon":"/i.png","tag":null,"data":{"b":{"c":2}},"actions":[{"action":"x","title":"X","navigate":"/x"}]}}`)},
			`{"web_push":8030,"mutable":true,"notification":{"title":"t","navigate":"/chat/7","icon":"/i.png","actions":[{"action":"x","title":"X","navigate":"/x"}],"data":{"a":"1","b":{"c":2},` + ids + `}}}`},
		"override gives the title": {diaphone.Notification{WebPush: []byte(`{"notification":{"title":"web only"}}`)},
			`{"web_push":8030,"notification":{"title":"web only","navigate":"https://chat.example.com/",` + tag + `,"data":{` + ids + `}}}`},
		"override takes it away": {diaphone.Notification{Title: "t", WebPush: []byte(`{"notification":{"title":null,"data":null}}`)},
			`{"notification":{"navigate":"https://chat.example.com/",` + tag + `,"data":{` + ids + `}}}`},
	} {
		_, got := rendered8030(t, c.n)
		var want map[string]any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s:\n%s\nwant\n%s", name, a, b)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		n    diaphone.Notification
		want map[string]string
	}{
		{diaphone.Notification{Body: "x"}, map[string]string{"TTL": "600", "Urgency": "high"}},
		{diaphone.Notification{Body: "x", Priority: diaphone.PriorityNormal, CollapseID: "chat_7-Z"},
			map[string]string{"TTL": "600", "Urgency": "normal", "Topic": "chat_7-Z"}},
		{diaphone.Notification{Body: "x", CollapseID: strings.Repeat("a", 32)},
			map[string]string{"TTL": "600", "Urgency": "high", "Topic": strings.Repeat("a", 32)}},
	} {
		if got, _ := rendered8030(t, c.n); !maps.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	topics := map[string]bool{}
	for _, collapse := range []string{"chat/7", "chat/8", "chat.7", strings.Repeat("a", 33), strings.Repeat("a", 64), "é", "a b"} {
		got, _ := rendered8030(t, diaphone.Notification{Body: "x", CollapseID: collapse})
		topic := got["Topic"]
		if len(topic) != maxTopic || !every(topic, isBase64URL) || topics[topic] {
			t.Errorf("%q: topic %q", collapse, topic)
		}
		topics[topic] = true
	}
}

func TestRefusals(t *testing.T) {
	for override, pointer := range map[string]string{
		`[]`: "", `{`: "", `"x"`: "",
		`{"web_push":1}`:                       "/web_push",
		`{"notification":7}`:                   "/notification",
		`{"notification":null}`:                "/notification",
		`{"notification":{"navigate":null}}`:   "/notification/navigate",
		`{"notification":{"title":7}}`:         "/notification/title",
		`{"notification":{"navigate":7}}`:      "/notification/navigate",
		`{"notification":{"data":[]}}`:         "/notification/data",
		`{"notification":{"data":{"_nid":1}}}`: "/notification/data/_nid",
		`{"notification":{"data":{"_mid":1}}}`: "/notification/data/_mid",
	} {
		_, err := render(providertest.Message(diaphone.Notification{Title: "t", WebPush: []byte(override)}), "https://example.com/", 1)
		var e *diaphone.Error
		if !errors.As(err, &e) || e.Code != diaphone.Invalid || len(e.Fields) != 1 || e.Fields[0].Pointer != "/notification/webpush"+pointer {
			t.Errorf("%s: %v", override, err)
		}
	}
}

func FuzzOverride(f *testing.F) {
	for _, text := range []string{`{}`, `{"notification":{"data":{"a":null}}}`, `{"notification":{"title":"\u0000"}}`, `{"a":{"_nid":"x"}}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := render(providertest.Message(diaphone.Notification{Title: "t", WebPush: []byte(text)}), "https://example.com/", 1)
		if err != nil {
			return
		}
		var document struct {
			Notification struct {
				Data map[string]any `json:"data"`
			} `json:"notification"`
		}
		if err := json.Unmarshal(r.payload("the id"), &document); err != nil {
			t.Fatalf("%v in %s", err, r.payload("the id"))
		}
		if keys := slices.Sorted(maps.Keys(document.Notification.Data)); !slices.Contains(keys, exchange.KeyMessage) || document.Notification.Data[exchange.KeyDelivery] != "the id" {
			t.Errorf("%v", document.Notification.Data)
		}
	})
}
