package fallback

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"
)

// Send answers a request that speaks: a JSON array of messages, each a string, of
// at most so many bytes. It answers 204 once the engine will read them; all of
// them or none.
func (t *Sessions) Send(w http.ResponseWriter, r *http.Request, id ID, most int64) {
	s := t.find(id)
	if s == nil {
		http.Error(w, "No such session", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		http.Error(w, "The request body exceeds the allowed maximum", http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "The request body could not be read", http.StatusBadRequest)
		return
	}
	messages, ok := parse(body)
	switch {
	case !ok:
		http.Error(w, "The request body should be a JSON array of strings", http.StatusBadRequest)
	case !s.say(r.Context(), numberOf(r.URL), messages):
		http.Error(w, "The session has ended", http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// parse reads an array of strings, and nothing else.
func parse(body []byte) (messages []string, ok bool) {
	var all []*string
	if !utf8.Valid(body) || json.Unmarshal(body, &all) != nil || all == nil {
		return nil, false
	}
	messages = make([]string, len(all))
	for i, m := range all {
		if m == nil {
			return nil, false
		}
		messages[i] = *m
	}
	return messages, true
}
