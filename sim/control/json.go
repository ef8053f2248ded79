package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxBody is enough for 10,000 phones in one request.
const maxBody = 1 << 20

// failure is an error with the HTTP status it means.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func invalid(format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// list is the shape of every answer that holds several things.
type list[T any] struct {
	Data []T `json:"data"`
}

// serve writes what h returns: 200 with JSON, 204 for nil, or the error.
func serve(w http.ResponseWriter, r *http.Request, h func(*http.Request) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	out, err := h(r)
	var f *failure
	switch {
	case errors.As(err, &f):
		Error(w, f.status, f.text)
	case err != nil:
		Error(w, http.StatusInternalServerError, err.Error())
	case out == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		write(w, http.StatusOK, out)
	}
}

// Error answers with {"error": text}.
func Error(w http.ResponseWriter, status int, text string) {
	write(w, status, map[string]string{"error": text})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the status is out: nothing is left to report
}

// plainErrors gives the mux's own 404 and 405 the shape of all other errors.
func plainErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &headerRecorder{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if allow := probe.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			Error(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not possible here; use %s", r.Method, allow))
			return
		}
		Error(w, http.StatusNotFound, "no such path; the control API has /sim/inbox, /sim/devices, /sim/faults and /sim/stats")
	})
}

type headerRecorder struct{ header http.Header }

func (h *headerRecorder) Header() http.Header         { return h.header }
func (h *headerRecorder) Write(p []byte) (int, error) { return len(p), nil }
func (h *headerRecorder) WriteHeader(int)             {}

// decodeOneOrMany reads a JSON object or an array of them; one reports which.
func decodeOneOrMany[T any](r *http.Request) (items []T, one bool, err error) {
	raw, err := readBody(r)
	if err != nil {
		return nil, false, err
	}
	if bytes.HasPrefix(raw, []byte("[")) {
		return items, false, decode(raw, &items)
	}
	items = make([]T, 1)
	return items, true, decode(raw, &items[0])
}

func readBody(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &failure{
			http.StatusRequestEntityTooLarge,
			fmt.Sprintf("the body is larger than %d bytes; send it in parts", maxBody),
		}
	case err != nil:
		return nil, invalid("read the body: %v", err)
	case !utf8.Valid(raw):
		return nil, invalid("the body is not valid UTF-8")
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, invalid("the body is empty; send a JSON object")
	}
	return raw, nil
}

// decode is strict: unknown fields, wrong types and anything after the value are
// errors that name the field.
func decode[T any](raw []byte, into *T) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return invalid("%s: must be %s, not %s", wrongType.Field, named(wrongType.Type), wrongType.Value)
	case errors.As(err, &wrongType):
		return invalid("the body must be %s, not %s", named(wrongType.Type), wrongType.Value)
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		field := strings.TrimPrefix(err.Error(), "json: unknown field ")
		return invalid("%s: there is no such field; use %s", strings.Trim(field, `"`), strings.Join(fieldsOf(reflect.TypeFor[T]()), ", "))
	case err != nil:
		return invalid("the body is not valid JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body has something after its JSON value")
	}
	return nil
}

func named(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "an array"
	default:
		return "an object"
	}
}

func fieldsOf(t reflect.Type) []string {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
