package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/app"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// patience is for a machine that is busy; nothing waits so long otherwise.
const patience = 20 * time.Second

// account is how a backend knows its app.
type account struct {
	ID     string `json:"id"`
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

// accounts of the apps in appsYAML. Three of them have the keys of the vectors.
var accounts = map[string]account{
	"main":     {"1", "app-key", "app-secret"},
	"plain":    {"3", "278d425bdf160c739803", "7ad3773142a6692b25b8"},
	"counting": {"102015", "d41a439c438a100756f5", "4bf35003e819bb138249"},
	"full":     {"4", "full-key", "full-secret"},
	"strict":   {"5", "strict-key", "strict-secret"},
	"disabled": {"6", "disabled-key", "disabled-secret"},
	"tls":      {"7", "tls-key", "tls-secret"},
	"told":     {"8", "told-key", "told-secret"},
	"forged":   {"1", "app-key", "another-secret"},
}

// appsYAML: main has everything on that official clients use too, for what is new
// must not disturb them; plain has the defaults. WEBHOOK is where the backend of told
// hears what happens.
const appsYAML = `apps:
  - id: "1"
    keys: [{key: app-key, secret: app-secret}, {key: next-key, secret: next-secret}, {key: last-key, secret: last-secret, enabled: false}]
    channels: {client_events: true, history: [{}]}
  - id: "3"
    keys: [{key: 278d425bdf160c739803, secret: 7ad3773142a6692b25b8}]
  - id: "102015"
    keys: [{key: d41a439c438a100756f5, secret: 4bf35003e819bb138249}]
    channels: {subscription_count: true}
  - id: "4"
    keys: [{key: full-key, secret: full-secret}]
    limits: {connections: 1}
  - id: "5"
    keys: [{key: strict-key, secret: strict-secret}]
    channels: {authorise_within: 3s}
  - id: "6"
    enabled: false
    keys: [{key: disabled-key, secret: disabled-secret}]
  - id: "7"
    keys: [{key: tls-key, secret: tls-secret}]
    channels: {tls_only: true}
  - id: "8"
    keys: [{key: told-key, secret: told-secret}, {key: told-next-key, secret: told-next-secret}]
    channels: {client_events: true, subscription_count: true}
    webhooks: [{name: backend, url: "WEBHOOK"}]
`

// gateway is a whole gateway, in process so that the race detector sees what the
// clients do to it. Its apps are those of appsYAML.
type gateway struct {
	t    *testing.T
	dir  string
	port int
	http *http.Client
	told *endpoint // of the app of that name
	stop func()    // waits for the end
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), port: harness.Ports(t, 1), told: newEndpoint(t), http: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	apps := strings.ReplaceAll(appsYAML, "WEBHOOK", g.told.url)
	if err := os.WriteFile(filepath.Join(g.dir, "apps.yaml"), []byte(apps), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.http.CloseIdleConnections()
		g.stop()
	})
	g.start()
	return g
}

func (g *gateway) start() {
	g.t.Helper()
	a, err := app.New(app.Config{
		Apps: filepath.Join(g.dir, "apps.yaml"), DataDir: filepath.Join(g.dir, "data"), Listen: g.address(),
		DrainFor: 100 * time.Millisecond, StopWithin: patience, Retention: 24 * time.Hour, Poller: "epoll",
		EgressAllowCidr: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := a.Run(ctx); err != nil {
			g.t.Errorf("the gateway ended: %v", err)
		}
	})
	g.stop = func() {
		cancel()
		run.Wait()
	}
}

// restart stops the gateway as an operator would, and starts it on the same port.
func (g *gateway) restart() {
	g.stop()
	g.start()
}

func (g *gateway) address() string { return fmt.Sprintf("127.0.0.1:%d", g.port) }

// control lets the scripts do what only this process can: relays, and gateways of
// their own that may be restarted.
type control struct {
	t        *testing.T
	gateway  *gateway
	mu       sync.Mutex
	relays   map[string]*harness.Relay
	gateways map[string]*gateway
}

// serve answers the scripts until the test ends, and gives the address.
func (c *control) serve() string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /relay", func(w http.ResponseWriter, _ *http.Request) {
		r := harness.NewRelay(c.t, c.gateway.address())
		c.keep(func() { c.relays[r.Port()] = r })
		fmt.Fprintf(w, `{"port":%s}`, r.Port())
	})
	mux.HandleFunc("POST /relay/{port}/end/{code}", func(_ http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		c.relay(r.PathValue("port")).End(code)
	})
	mux.HandleFunc("POST /gateway", func(w http.ResponseWriter, _ *http.Request) {
		g := newGateway(c.t)
		c.keep(func() { c.gateways[fmt.Sprint(g.port)] = g })
		fmt.Fprintf(w, `{"port":%d}`, g.port)
	})
	mux.HandleFunc("POST /gateway/{port}/restart", func(_ http.ResponseWriter, r *http.Request) {
		c.other(r.PathValue("port")).restart()
	})
	mux.HandleFunc("POST /gateway/{port}/publish", func(_ http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&body)
		c.other(r.PathValue("port")).publish(c.t, string(body))
	})
	mux.HandleFunc("GET /told/{from}", func(w http.ResponseWriter, r *http.Request) {
		var from int
		_, _ = fmt.Sscan(r.PathValue("from"), &from)
		_ = json.NewEncoder(w).Encode(c.gateway.told.since(from))
	})
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // pages come from the backend
		mux.ServeHTTP(w, r)
	})}
	l := harness.Listen(c.t)
	var run sync.WaitGroup
	run.Go(func() { _ = server.Serve(l) })
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = server.Shutdown(ctx)
		run.Wait()
	})
	return "http://" + l.Addr().String()
}

func (c *control) keep(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

func (c *control) relay(port string) (r *harness.Relay) {
	c.keep(func() { r = c.relays[port] })
	return r
}

func (c *control) other(port string) (g *gateway) {
	c.keep(func() { g = c.gateways[port] })
	return g
}

// vector is one of pusher-vectors.json: texts by name.
type vector map[string]string

func loadVectors(t *testing.T) (masterKey string, vectors []vector) {
	t.Helper()
	text, err := os.ReadFile("../../api/channels/testdata/pusher-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		MasterKey string              `json:"master_key_base64"`
		Vectors   []map[string]string `json:"vectors"`
	}
	if err := json.NewDecoder(strings.NewReader(string(text))).Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		vectors = append(vectors, v)
	}
	if len(vectors) != 31 {
		t.Fatalf("%d vectors: the plan has a point for each of 31", len(vectors))
	}
	return file.MasterKey, vectors
}
