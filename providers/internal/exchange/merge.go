package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Object reads one JSON object. Numbers keep their digits.
func Object(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the JSON value")
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a JSON object")
	}
	return object, nil
}

// Merge puts the patch over the target as RFC 7396 has it: objects are merged,
// everything else is replaced, null removes.
func Merge(target, patch map[string]any) {
	for k, v := range patch {
		sub, isObject := v.(map[string]any)
		switch {
		case v == nil:
			delete(target, k)
		case isObject:
			under, _ := target[k].(map[string]any)
			if under == nil {
				under = map[string]any{}
			}
			Merge(under, sub)
			target[k] = under
		default:
			target[k] = v
		}
	}
}
