package exchange

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Encode writes compact JSON with sorted keys. It leaves <, > and & alone:
// encoding/json would make six bytes of each, and vendors count bytes. Every message
// is rendered for each of its app's providers before it is accepted, so what
// renderings are made of is written here; all else is left to encoding/json.
func Encode(v any) ([]byte, error) { return appendJSON(make([]byte, 0, 256), v) }

func appendJSON(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case string:
		return appendText(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case map[string]any:
		keys := slices.AppendSeq(make([]string, 0, len(v)), maps.Keys(v))
		slices.Sort(keys)
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendText(b, k); err != nil {
				return nil, err
			}
			if b, err = appendJSON(append(b, ':'), v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return appendOther(b, v)
}

// appendText writes a string. What needs an escape is rare.
func appendText(b []byte, s string) ([]byte, error) {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' {
			return appendOther(b, s)
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	// JavaScript's line ends; encoding/json escapes them, too.
	if !ascii && (!utf8.ValidString(s) || strings.ContainsAny(s, "\u2028\u2029")) {
		return appendOther(b, s)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), nil
}

func appendOther(b []byte, v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimRight(text.Bytes(), "\n")...), nil
}
