package harness

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness/leak"
)

// Watch makes a canary run of every test that runs a gateway: it knows all the secrets
// and tokens that the gateway is given, keeps all that the gateway tells anybody but the
// vendors (logs at level debug, metrics, refusals, what commands print meanwhile), and
// when the test ends, one that is told fails it.
type Watch struct {
	t     testing.TB
	begun int // in printed

	mu   sync.Mutex
	hunt leak.Hunt
	told []told
}

// told is a text from some place of a gateway.
type told struct {
	kind  leak.Place
	place string
	text  func() string
}

// newWatch starts a watch, which is over when the test is and whatever the test starts
// later has ended.
func newWatch(t testing.TB) *Watch {
	w := &Watch{t: t, begun: printed.len()}
	t.Cleanup(func() {
		for _, l := range w.Leaks() {
			t.Error(l)
		}
	})
	return w
}

// Plant has a value looked for: whatever the watched have told and will tell.
func (w *Watch) Plant(k leak.Kind, values ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range values {
		w.hunt.Plant(k, v)
	}
}

// Tell has one more text searched.
func (w *Watch) Tell(kind leak.Place, place, text string) {
	w.tell(kind, place, func() string { return text })
}

func (w *Watch) tell(kind leak.Place, place string, text func() string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, told{kind, place, text})
}

// Planted is how many values are looked for.
func (w *Watch) Planted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hunt.Planted()
}

// Leaks searches all that was told so far, and says what was found where.
func (w *Watch) Leaks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.search(&w.hunt)
}

// Finds is Leaks for one value that is not planted: it shows that a place is searched.
func (w *Watch) Finds(k leak.Kind, value string) []string {
	var h leak.Hunt
	h.Plant(k, value)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.search(&h)
}

func (w *Watch) search(h *leak.Hunt) (all []string) {
	search := func(kind leak.Place, place, text string) {
		for _, l := range h.In(kind, text) {
			all = append(all, place+" leaks "+l.String())
		}
	}
	for _, p := range w.told {
		search(p.kind, p.place, p.text())
	}
	for _, p := range printed.since(w.begun) {
		search(leak.Print, p.command, p.text)
	}
	return all
}

// follow searches what a process prints and logs.
func (w *Watch) follow(p *Process) {
	w.tell(leak.Log, "the gateway's log", p.Stderr)
	w.tell(leak.Print, "what the gateway prints", p.Stdout)
}

// Scrape searches the metrics as they are now, where a gateway runs.
func (w *Watch) Scrape(url string) {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url + "/metrics")
	if err != nil {
		return // a test may have ended the gateway
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil {
		w.Tell(leak.Metrics, "the metrics", string(text))
	}
}

// watching plants what devices and messages bring, and searches what callers are told
// who are refused.
type watching struct {
	watch *Watch
	next  http.RoundTripper
}

func (c *watching) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			if text, err := io.ReadAll(body); err == nil {
				c.watch.plantRequest(r.URL.Path, text)
			}
		}
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(text))
	var head bytes.Buffer
	_ = resp.Header.Write(&head) // a buffer takes it all
	c.watch.Tell(leak.Answer, "the answer "+resp.Status+" to "+r.Method+" "+resource.FindString(r.URL.Path), head.String()+string(text))
	return resp, err
}

// resource is as much of a path as has no values in it.
var resource = regexp.MustCompile(`^/[a-z0-9]*(/[a-z]+)?`)

// printed is what commands have printed in this process, whatever world they were about.
var printed printings

type printing struct{ command, text string }

type printings struct {
	mu  sync.Mutex
	all []printing
}

func (p *printings) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

func (p *printings) since(n int) []printing {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all[n:])
}

// add keeps what a command has printed, but for those whose purpose is to tell secrets:
// the simulators', and an owner's devices as JSON.
func (p *printings) add(args []string, out string) {
	if len(args) == 0 || args[0] == "sim" || args[0] == "dev" || args[0] == "devices" && slices.Contains(args, "--json") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, printing{"diaphone " + args[0], out})
}
