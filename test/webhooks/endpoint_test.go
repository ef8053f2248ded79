package webhooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// endpoint is a backend on a port of its own, which can be up or down.
type endpoint struct {
	t      *testing.T
	addr   string
	silent bool // it takes requests and never answers

	mu       sync.Mutex
	server   *http.Server
	requests []request
}

// request is one that the endpoint has taken, as the SDKs' helpers want it.
type request struct {
	Headers map[string]string `json:"headers"`
	RawBody string            `json:"rawBody"`
}

// notice is one event of a request.
type notice struct {
	Name    string
	Channel string
	User    string `json:"user_id"`
	Event   string
	Data    string
	Socket  string `json:"socket_id"`
	Count   *int   `json:"subscription_count"`
	ID      string
	Seq     uint64
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{t: t, addr: fmt.Sprintf("127.0.0.1:%d", harness.Ports(t, 1))}
	t.Cleanup(e.down)
	return e
}

func (e *endpoint) url() string { return "http://" + e.addr + "/hooks?token=geheim" }

func (e *endpoint) up() {
	e.t.Helper()
	l, err := net.Listen("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = &http.Server{Handler: http.HandlerFunc(e.take)}
	server := e.server
	go func() { _ = server.Serve(l) }()
}

func (e *endpoint) down() {
	e.mu.Lock()
	server := e.server
	e.server = nil
	e.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

func (e *endpoint) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	headers := map[string]string{}
	for name := range r.Header {
		headers[strings.ToLower(name)] = r.Header.Get(name) // as Node does
	}
	e.mu.Lock()
	e.requests = append(e.requests, request{headers, string(body)})
	e.mu.Unlock()
	if e.silent {
		<-r.Context().Done()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (e *endpoint) taken() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

// notices gives all that has arrived, in order.
func (e *endpoint) notices() (all []notice) {
	e.t.Helper()
	for _, r := range e.taken() {
		var body struct{ Events []notice }
		if err := json.Unmarshal([]byte(r.RawBody), &body); err != nil {
			e.t.Fatal(err)
		}
		all = append(all, body.Events...)
	}
	return all
}

// count tells how many notices of a kind have arrived for a user or with some data.
func (e *endpoint) count(kind, what string) (n int) {
	for _, got := range e.notices() {
		if got.Name == kind && (got.User == what || got.Data == what) {
			n++
		}
	}
	return n
}

// line is a notice as the tests compare it.
func (n notice) line() string {
	words := []any{n.Name, n.Channel}
	for _, w := range []string{n.User, n.Event, n.Data} {
		if w != "" {
			words = append(words, w)
		}
	}
	if n.Count != nil {
		words = append(words, *n.Count)
	}
	return strings.TrimSuffix(fmt.Sprintln(words...), "\n")
}

// checked is what the SDK makes of a request.
type checked struct {
	Valid  bool
	Time   int64
	Events []notice
}

// check has the unmodified npm package pusher check requests.
func check(t *testing.T, requests []request) (results []checked) {
	t.Helper()
	if err := json.Unmarshal(runNode(t, "check.mjs", requests, "KEY="+key, "SECRET="+secret), &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// runNode has a script that uses npm packages look at requests, and gives what it prints.
func runNode(t *testing.T, script string, requests []request, env ...string) []byte {
	t.Helper()
	if _, err := os.Stat("../node_modules"); err != nil {
		t.Fatal("the npm packages are not installed: run npm ci --prefix test")
	}
	input, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, stderr.String())
	}
	return out
}

// newWorld is a gateway whose app has a webhook for each endpoint.
func newWorld(t *testing.T, ends ...*endpoint) *harness.World {
	t.Helper()
	return harness.NewWorld(t, func(apps string) string {
		text := "    channels: {client_events: true, subscription_count: true}\n    limits: {client_events_per_second: 10000}\n    webhooks:\n"
		for i, e := range ends {
			text += fmt.Sprintf("      - {name: w%d, url: %q, headers: {X-Gateway: ours}}\n", i, e.url())
		}
		return strings.Replace(apps, "    tokens:\n", text+"    tokens:\n", 1)
	})
}

// metric reads a value from the gateway's metrics; 0 when it is not there.
func metric(t *testing.T, w *harness.World, name string) (value float64) {
	t.Helper()
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	resp, err := client.Get(w.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				t.Fatal(err)
			}
		}
	}
	return value
}
