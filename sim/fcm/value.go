package fcm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxDepth is the nesting that protobuf's JSON parser takes.
const maxDepth = 100

// kind is what a JSON value is.
type kind byte

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

// value is a JSON value that keeps the order of its members, since Google's error
// texts count them.
type value struct {
	kind    kind
	scalar  string // of a text without quotes; of a number or boolean as written
	items   []value
	members []member
}

type member struct {
	name  string
	value value
}

// get returns a member, or an empty value.
func (v *value) get(name string) *value {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return &value{}
}

// quoted is how an error text shows a scalar.
func (v *value) quoted() string {
	if v.kind == text {
		return strconv.Quote(v.scalar)
	}
	return v.scalar
}

var errJSON = errors.New("not JSON")

func parseValue(raw []byte) (value, error) {
	if !utf8.Valid(raw) {
		return value{}, errJSON
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := next(d, 0)
	if err != nil {
		return v, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, errJSON
	}
	return v, nil
}

func next(d *json.Decoder, depth int) (value, error) {
	token, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := token.(type) {
	case bool:
		return value{kind: boolean, scalar: strconv.FormatBool(t)}, nil
	case json.Number:
		return value{kind: number, scalar: t.String()}, nil
	case string:
		return value{kind: text, scalar: t}, nil
	case json.Delim:
		if depth == maxDepth {
			return value{}, errJSON
		}
		if t == '[' {
			return nextArray(d, depth+1)
		}
		return nextObject(d, depth+1)
	default:
		return value{kind: null, scalar: "null"}, nil
	}
}

func nextArray(d *json.Decoder, depth int) (value, error) {
	v := value{kind: array}
	for d.More() {
		item, err := next(d, depth)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	_, err := d.Token() // the bracket
	return v, err
}

func nextObject(d *json.Decoder, depth int) (value, error) {
	v := value{kind: object}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return v, err
		}
		item, err := next(d, depth)
		if err != nil {
			return v, err
		}
		text, _ := name.(string) // the decoder allows nothing else here
		v.members = append(v.members, member{text, item})
	}
	_, err := d.Token() // the brace
	return v, err
}
