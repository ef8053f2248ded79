// Package strict is how the doors of the native API read what they are sent: to the
// letter, with a pointer to the first fault, and never repeating a value, which might be
// a token.
package strict

import (
	"bufio"
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// maxDepth is how deep a body may nest. Nobody needs more, and whoever receives
// the data may be less patient than our parser.
const maxDepth = 32

// Body reads an uncompressed JSON body of at most limit bytes.
func Body(c echo.Context, limit int64) ([]byte, error) {
	r := c.Request()
	if e := r.Header.Get(echo.HeaderContentEncoding); e != "" && !strings.EqualFold(e, "identity") {
		return nil, echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the body without Content-Encoding")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || kind != echo.MIMEApplicationJSON || !strings.EqualFold(orUTF8(params["charset"]), "utf-8") {
		return nil, echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the body as Content-Type: application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, &diaphone.Error{
			Code:   diaphone.TooLarge,
			Detail: fmt.Sprintf("the body has more than %d bytes", over.Limit),
			Fields: []diaphone.FieldError{{Code: "too_large", Detail: fmt.Sprintf("at most %d bytes", over.Limit)}},
			Err:    err,
		}
	case err != nil:
		return nil, &diaphone.Error{Code: diaphone.Malformed, Detail: "the body broke off", Err: err}
	}
	return body, nil
}

// HasBody tells whether there is one, of operations that need none. Its length may
// not have been announced.
func HasBody(r *http.Request) bool {
	ahead := bufio.NewReader(r.Body)
	r.Body = struct {
		io.Reader
		io.Closer
	}{ahead, r.Body}
	_, err := ahead.Peek(1)
	return !errors.Is(err, io.EOF)
}

func orUTF8(charset string) string {
	if charset == "" {
		return "utf-8"
	}
	return charset
}

// Decode reads one JSON document of the type, strictly: no unknown, repeated or
// null member, no other type, nothing behind it, valid UTF-8. The error points
// at the first fault and never repeats a value, which might be a token.
func Decode[T any](body []byte) (v T, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return v, malformed("", "required", "the body is empty; a JSON object belongs there")
	}
	if err := checkDepth(body); err != nil {
		return v, err
	}
	err = json.Unmarshal(body, &v, strict)
	var (
		semantic  *json.SemanticError
		syntactic *jsontext.SyntacticError
	)
	switch {
	case err == nil:
		return v, nil
	case errors.As(err, &semantic):
		return v, semanticFault(semantic)
	case errors.As(err, &syntactic):
		return v, syntacticFault(syntactic, body)
	}
	return v, &diaphone.Error{Code: diaphone.Malformed, Detail: "the body could not be read", Err: err}
}

// strict is made once, for what it finds out of a type it keeps.
var strict = json.JoinOptions(json.RejectUnknownMembers(true), json.WithUnmarshalers(json.UnmarshalFromFunc(refuseNull)))

var errNull = errors.New("null")

// refuseNull sees every value before its type does. To accept null as "absent"
// would hide faults, and PUT could not tell it from "remove". Where any JSON may
// stand, null may too.
func refuseNull(d *jsontext.Decoder, v any) error {
	if _, anyJSON := v.(*stdjson.RawMessage); anyJSON || d.PeekKind() != jsontext.KindNull {
		return errors.ErrUnsupported // the type's own decoding goes on
	}
	if _, err := d.ReadToken(); err != nil { // it only begins as null does
		return errors.ErrUnsupported
	}
	return errNull
}

// checkDepth counts brackets before it looks closer: few bodies have so many.
func checkDepth(body []byte) error {
	if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) <= maxDepth {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		if _, err := d.ReadToken(); err != nil {
			return nil //nolint:nilerr // the end, or a fault that Unmarshal describes
		}
		if d.StackDepth() > maxDepth {
			return malformed(d.StackPointer(), "too_deep", "the body nests deeper than %d levels", maxDepth)
		}
	}
}

// syntacticFault describes text that is not the JSON we read.
func syntacticFault(e *jsontext.SyntacticError, body []byte) error {
	switch {
	case errors.Is(e, jsontext.ErrDuplicateName):
		return malformed(e.JSONPointer, "duplicate", "the field %q stands twice in the same object", Clip(e.JSONPointer.LastToken()))
	case invalidUTF8At(body, e.ByteOffset):
		return malformed(e.JSONPointer, "invalid_utf8", "the body is not valid UTF-8 at byte %d", e.ByteOffset)
	case errors.Is(e, io.ErrUnexpectedEOF):
		return malformed(e.JSONPointer, "syntax", "the JSON ends too early, at byte %d", e.ByteOffset)
	}
	return malformed(e.JSONPointer, "syntax", "this is not JSON at byte %d", e.ByteOffset)
}

func invalidUTF8At(body []byte, offset int64) bool {
	if offset < 0 || offset >= int64(len(body)) {
		return false
	}
	r, size := utf8.DecodeRune(body[offset:])
	return r == utf8.RuneError && size == 1
}

// semanticFault describes JSON that is not the document we expect.
func semanticFault(e *json.SemanticError) error {
	switch {
	case errors.Is(e, json.ErrUnknownName):
		return diaphone.InvalidField(pointer(e.JSONPointer), "unknown_field", "%s", unknownField(e.JSONPointer.LastToken(), e.GoType))
	case errors.Is(e, errNull):
		return diaphone.InvalidField(pointer(e.JSONPointer), "wrong_type", "null is not allowed here: leave the field out")
	case e.GoType == reflect.TypeFor[wire.Time]():
		return diaphone.InvalidField(pointer(e.JSONPointer), "malformed", "a time with its zone belongs here, for example 2026-09-01T18:30:00+02:00")
	case e.JSONKind == jsontext.KindNumber && isInteger(e.GoType):
		return diaphone.InvalidField(pointer(e.JSONPointer), "wrong_type", "a whole number of at most 64 bits belongs here")
	}
	return diaphone.InvalidField(pointer(e.JSONPointer), "wrong_type", "%s belongs here, this is %s", wanted(e.GoType), Given(e.JSONKind))
}

func malformed(at jsontext.Pointer, code, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return &diaphone.Error{
		Code:   diaphone.Malformed,
		Detail: detail,
		Fields: []diaphone.FieldError{{Pointer: pointer(at), Code: code, Detail: detail}},
	}
}

// pointer keeps what a caller made up short: it gives the nearest place whose
// pointer is of a bearable length.
func pointer(p jsontext.Pointer) string {
	const most = 256
	for len(p) > most {
		p = p.Parent()
	}
	return string(p)
}

func isInteger(t reflect.Type) bool {
	return t != nil && t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64
}

func wanted(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	switch {
	case isInteger(t):
		return "a whole number"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Slice:
		return "an array"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "an object"
	}
	return "another type"
}

// Given names a kind of JSON value for a refusal.
func Given(k jsontext.Kind) string {
	switch k {
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindBeginArray:
		return "an array"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindNull:
		return "null"
	}
	return "something else"
}

// Clip keeps foreign text in an answer short.
func Clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
