package rest

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name, body  string
		code        diaphone.Code
		pointer     string
		field, says string
	}{
		{"nothing", "", diaphone.Malformed, "", "required", "empty"},
		{"blanks", " \n", diaphone.Malformed, "", "required", "empty"},
		{"half", `{"to":{"users":["a"`, diaphone.Malformed, "/to/users", "syntax", "too early"},
		{"no JSON", `hello`, diaphone.Malformed, "", "syntax", "not JSON at byte 0"},
		{"no null", `nope`, diaphone.Malformed, "", "syntax", "not JSON at byte"},
		{"no null inside", `{"to":nope}`, diaphone.Malformed, "/to", "syntax", "not JSON at byte"},
		{"half a null", `nul`, diaphone.Malformed, "", "syntax", "too early"},
		{"trailing comma", `{"to":{"users":["a",]}}`, diaphone.Malformed, "/to/users", "syntax", "not JSON"},
		{"data behind", `{"to":{}} {}`, diaphone.Malformed, "", "syntax", "not JSON at byte 10"},
		{"twice", `{"when":"away","when":"always"}`, diaphone.Malformed, "/when", "duplicate", `"when" stands twice`},
		{"twice in data", `{"event":{"name":"e","data":{"k":1,"k":2}}}`, diaphone.Malformed, "/event/data/k", "duplicate", "twice"},
		{"invalid UTF-8", "{\"when\":\"\xff\"}", diaphone.Malformed, "/when", "invalid_utf8", "not valid UTF-8 at byte 9"},
		{"half a surrogate pair", `{"when":"\ud800"}`, diaphone.Malformed, "/when", "syntax", "not JSON"},
		{"control character", "{\"when\":\"\x01\"}", diaphone.Malformed, "/when", "syntax", "not JSON"},
		{"too deep", `{"event":{"data":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, diaphone.Malformed, "/event/data" + strings.Repeat("/0", 30), "too_deep", "32 levels"},
		{"misspelt", `{"notification":{"titel":"x"}}`, diaphone.Invalid, "/notification/titel", "unknown_field", `did you mean "title"?`},
		{"other case", `{"notification":{"Title":"x"}}`, diaphone.Invalid, "/notification/Title", "unknown_field", `did you mean "title"?`},
		{"unknown", `{"to":{"segments":[]}}`, diaphone.Invalid, "/to/segments", "unknown_field", "there are users, devices, channels"},
		{"escaped", `{"to":{"a/b~c":1}}`, diaphone.Invalid, "/to/a~1b~0c", "unknown_field", "a/b~c"},
		{"array", `[]`, diaphone.Invalid, "", "wrong_type", "an object belongs here, this is an array"},
		{"null", `null`, diaphone.Invalid, "", "wrong_type", "null is not allowed"},
		{"null inside", `{"notification":{"title":null}}`, diaphone.Invalid, "/notification/title", "wrong_type", "leave the field out"},
		{"number for text", `{"notification":{"title":7}}`, diaphone.Invalid, "/notification/title", "wrong_type", "a string belongs here, this is a number"},
		{"text for number", `{"notification":{"ttl":"60"}}`, diaphone.Invalid, "/notification/ttl", "wrong_type", "a whole number belongs here, this is a string"},
		{"fraction", `{"notification":{"ttl":1.5}}`, diaphone.Invalid, "/notification/ttl", "wrong_type", "a whole number"},
		{"huge", `{"notification":{"badge":1e400}}`, diaphone.Invalid, "/notification/badge", "wrong_type", "a whole number"},
		{"text for list", `{"to":{"users":"ana"}}`, diaphone.Invalid, "/to/users", "wrong_type", "an array belongs here, this is a string"},
		{"list item", `{"to":{"users":["ana",true]}}`, diaphone.Invalid, "/to/users/1", "wrong_type", "this is a boolean"},
		{"data item", `{"notification":{"data":{"n":1}}}`, diaphone.Invalid, "/notification/data/n", "wrong_type", "a string belongs here"},
		{"object", `{"notification":{"title":{}}}`, diaphone.Invalid, "/notification/title", "wrong_type", "this is an object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode[wire.NewMessage]([]byte(c.body))
			var e *diaphone.Error
			if !errors.As(err, &e) || len(e.Fields) != 1 {
				t.Fatalf("got %v", err)
			}
			f := e.Fields[0]
			if e.Code != c.code || f.Pointer != c.pointer || f.Code != c.field || !strings.Contains(f.Detail, c.says) {
				t.Errorf("got %s %q %s %q", e.Code, f.Pointer, f.Code, f.Detail)
			}
		})
	}
}

func TestDecodeTakesAnyJSONAsEventData(t *testing.T) {
	for data, want := range map[string]string{
		`"hello"`:              "hello",
		`"{\"hi\":1}"`:         `{"hi":1}`,
		`"\u00e9\ud83d\ude00"`: "é😀",
		`{"hi": 1}`:            `{"hi": 1}`,
		`[1, 2]`:               `[1, 2]`,
		`1.50`:                 `1.50`,
		`null`:                 `null`,
		`{"a":null}`:           `{"a":null}`,
		`""`:                   ``,
	} {
		in, err := decode[wire.NewMessage]([]byte(`{"event":{"name":"e","data": ` + data + ` }}`))
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		if got := eventData(in.Event.Data); got != want {
			t.Errorf("%s is delivered as %s", data, got)
		}
	}
}

// A token that stands where another type belongs must not come back in the error.
func TestDecodeErrorsRepeatNoValue(t *testing.T) {
	const canary = "canary0123456789"
	for _, body := range []string{
		`{"tokens":"` + canary + `"}`,
		`{"tokens":[{"value":["` + canary + `"]}]}`,
		`{"tokens":[{"kind":"fcm","value":"` + canary + `\ud800"}]}`,
		`{"tokens":[{"kind":"fcm","value":"` + canary,
		`{"platform":{"x":"` + canary + `"}}`,
	} {
		_, err := decode[wire.NewDevice]([]byte(body))
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestPointersStayShort(t *testing.T) {
	_, err := decode[wire.NewMessage]([]byte(`{"to":{"` + strings.Repeat("x", 5000) + `":1}}`))
	var e *diaphone.Error
	if !errors.As(err, &e) || e.Fields[0].Pointer != "/to" || len(e.Detail) > 300 {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"to":{"users":["ana"]},"notification":{"title":"hi","ttl":0,"fcm":{"a":[]},"apns":{"aps":{}}}}`,
		`{"to":{"channels":["news"]},"event":{"name":"e","data":{"a":[1,null,"\u0000"]},"except_socket":"1.2"}}`,
		`{"when":"away","when":1}`, "{\"\xff\":1}", `{"a":` + strings.Repeat("[", 50), `null`, `{}x`, `{"event":{"data":"\ud800"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := decode[wire.NewMessage](body)
		if err == nil {
			if !utf8.Valid(body) {
				t.Error("took invalid UTF-8")
			}
			if in.Event != nil && !utf8.ValidString(eventData(in.Event.Data)) {
				t.Error("made invalid UTF-8 of the event's data")
			}
			return
		}
		var e *diaphone.Error
		if !errors.As(err, &e) || len(e.Fields) != 1 {
			t.Fatalf("a refusal that says nothing: %v", err)
		}
		if p := e.Fields[0].Pointer; p != "" && p[0] != '/' || len(p) > 256 || len(e.Detail) > 600 {
			t.Errorf("pointer %q, detail of %d bytes", p, len(e.Detail))
		}
	})
}
