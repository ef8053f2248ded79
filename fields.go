package diaphone

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// fieldErrors collects what is wrong, so that a caller hears of all of it at once.
type fieldErrors []FieldError

func (f *fieldErrors) addf(pointer, code, format string, args ...any) {
	*f = append(*f, FieldError{Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// check adds err, if any, under the pointer.
func (f *fieldErrors) check(pointer string, err error) {
	if err == nil {
		return
	}
	detail := err.Error()
	var e *Error
	if errors.As(err, &e) {
		detail = e.Detail
	}
	f.addf(pointer, "malformed", "%s", detail)
}

// checkAt adds err, if any, under a place in the list at the pointer. The pointer of
// one that is right is not written: there may be thousands.
func (f *fieldErrors) checkAt(list string, i int, err error) {
	if err != nil {
		f.check(list+"/"+strconv.Itoa(i), err)
	}
}

// under adds the fields of err, if any, below the pointer.
func (f *fieldErrors) under(pointer string, err error) {
	var e *Error
	if !errors.As(err, &e) {
		f.check(pointer, err)
		return
	}
	for _, field := range e.Fields {
		f.addf(pointer+field.Pointer, field.Code, "%s", field.Detail)
	}
}

// err gives the collected errors as one, or nil.
func (f fieldErrors) err(what string) error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return &Error{Code: Invalid, Detail: f[0].Detail, Fields: f}
	}
	return &Error{Code: Invalid, Detail: fmt.Sprintf("%s has %d faults", what, len(f)), Fields: f}
}

// escapePointer escapes one token of a JSON pointer (RFC 6901 §3).
func escapePointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
