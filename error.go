package diaphone

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of refusal an Error is. Every front door maps a Code to
// its own status exactly once.
type Code string

// The codes, with the HTTP status the native API gives them.
const (
	Invalid      Code = "invalid"      // 422: a field is wrong; Fields says which
	Malformed    Code = "malformed"    // 400: the request could not be read at all
	Unauthorized Code = "unauthorized" // 401: who are you
	Forbidden    Code = "forbidden"    // 403: known, but not allowed
	NotFound     Code = "not_found"    // 404
	Conflict     Code = "conflict"     // 409: an idempotency key with another body
	TooLarge     Code = "too_large"    // 413: body or payload over a limit
	Limited      Code = "rate_limited" // 429
	Internal     Code = "internal"     // 500: our fault
	Unavailable  Code = "unavailable"  // 503: try again; RetryAfter says when
	StorageFull  Code = "storage_full" // 507: the disk is full; RetryAfter says when to look again
)

// FieldError points at one wrong field.
type FieldError struct {
	Pointer string // RFC 6901 JSON pointer into the request body, for example "/notification/ttl"
	Code    string // stable, for example "out_of_range"
	Detail  string // what is wrong and what would be right
}

// Error is a refusal whose meaning is known. Detail and Hint are shown to the
// caller and carry no secret and no device token. Err is the cause; it is for
// the log of whoever handles it and is not shown.
type Error struct {
	Code       Code
	Detail     string
	Hint       string // what to do about it
	Fields     []FieldError
	RetryAfter time.Duration // 0: unknown
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Detail
	for _, f := range e.Fields {
		text += fmt.Sprintf(" (%s: %s)", f.Pointer, f.Detail)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a formatted Detail.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// InvalidField makes the Error of a single wrong field.
func InvalidField(pointer, code, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	return &Error{Code: Invalid, Detail: detail, Fields: []FieldError{{Pointer: pointer, Code: code, Detail: detail}}}
}

// CodeOf gives the Code of the first Error in the chain, and Internal for any
// other error.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
