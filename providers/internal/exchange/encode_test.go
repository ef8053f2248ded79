package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// Whatever object there is, it is written as encoding/json writes it.
func FuzzEncode(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"b":1,"a":{"":[1,2.50,{"z":null,"y":true}]},"é":"<&>"}`,
		`{"quotes":"a \"b\" \\ c","line":"a\nb\u0001","separators":"\u2028 \u2029","nul":"\u0000","del":"\u007f"}`,
		`{"big":123456789012345678901234567890,"deep":{"a":{"b":{"c":"d"}}}}`, `{"bad":"` + "\xff" + `"}`, `{"` + "\x80\u2028" + `":"😀"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := Object(text)
		if err != nil {
			return
		}
		object["count"] = 7 // renderings hold Go's own numbers, too
		object["raw"] = string(text)
		got, err := Encode(object)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(object); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, bytes.TrimRight(want.Bytes(), "\n")) {
			t.Errorf("%s\nencoding/json:\n%s", got, &want)
		}
	})
}

func TestEncodeTellsOfWhatJSONCannotHold(t *testing.T) {
	var unsupported *json.UnsupportedTypeError
	if _, err := Encode(map[string]any{"a": map[string]any{"b": func() {}}}); !errors.As(err, &unsupported) {
		t.Errorf("%v", err)
	}
}
