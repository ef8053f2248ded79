package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// endpoint is where a backend takes webhooks.
type endpoint struct {
	url string

	mu    sync.Mutex
	taken []hook
}

// hook is a request of a webhook, in the form that the SDKs' helpers want.
type hook struct {
	Headers map[string]string `json:"headers"`
	RawBody string            `json:"rawBody"`
	header  http.Header
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := new(endpoint)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := hook{Headers: map[string]string{}, RawBody: string(body), header: r.Header}
		for name := range r.Header {
			h.Headers[strings.ToLower(name)] = r.Header.Get(name) // as Node does
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.taken = append(e.taken, h)
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// since gives what has come after the first n.
func (e *endpoint) since(n int) []hook {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]hook{}, e.taken[min(n, len(e.taken)):]...)
}

// await waits for a request that has a part, and gives it.
func (e *endpoint) await(t *testing.T, part string) (found hook) {
	t.Helper()
	harness.Until(t, patience, fmt.Sprintf("a webhook with %q", part), func() bool {
		i := slices.IndexFunc(e.since(0), func(h hook) bool { return strings.Contains(h.RawBody, part) })
		if i >= 0 {
			found = e.since(i)[0]
		}
		return i >= 0
	})
	return found
}

// Line 18, as far as it is about the request and not about what it says.
var rawWebhooks = map[string]func(*testing.T, *gateway){
	"hook-headers": func(t *testing.T, g *gateway) {
		g.join(t, "told", "protocol=7").enter("hook-headers", "")
		h := g.told.await(t, `"hook-headers"`)
		told := accounts["told"]
		want := http.Header{
			"Content-Type":       {"application/json"},
			"X-Pusher-Key":       {told.Key},
			"X-Pusher-Signature": {sign(told.Secret, h.RawBody)},
			"Diaphone-Attempt":   {"1"},
			"User-Agent":         {"diaphone"},
		}
		got := h.header.Clone()
		for _, name := range []string{"Accept-Encoding", "Content-Length"} { // of HTTP itself
			got.Del(name)
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("headers %v, want %v", got, want)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(h.RawBody), &members); err != nil || !slices.Equal(slices.Sorted(maps.Keys(members)), []string{"events", "time_ms"}) {
			t.Errorf("%v in %s", err, h.RawBody)
		}
	},
}
