package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/channels"
	"github.com/diaphone-dev/diaphone/api/device"
	"github.com/diaphone-dev/diaphone/api/rest"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/push"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// Bearer tokens of the two apps that a Server has, "1" and "2". Both have an
// APNs, an FCM and a Web Push credential, and keep the last 5 events of channels whose name
// begins with news. App 1 has a webhook "backend".
const (
	Token1 = "dp_canary-of-app-one"
	Token2 = "dp_canary-of-app-two"
)

// Options change how a Server is built. The zero value is fine.
type Options struct {
	Providers map[diaphone.ProviderName]providers.Provider // nil: providers with the vendors' sizes
	Ready     func(context.Context) []api.Reason           // nil: ready
	Store     bolt.Options
	Edit      func(*diaphone.App)                                // each of the apps, before they are used; nil: as they are
	Aloft     int                                                // attempts in flight, of any message that is cancelled
	Lane      push.LaneState                                     // of every lane
	Webhooks  func() map[diaphone.WebhookID]gateway.WebhookState // nil: nothing is known of them

	TrustedProxies []netip.Prefix
	FailedAuths    int // a minute of one address; 0: no limit
}

// Fanned is an event that reached the live side.
type Fanned struct {
	App      diaphone.AppID
	Channels []diaphone.ChannelName
	Event    diaphone.Event
	Awaited  *diaphone.Awaited // nil: nobody asks who has taken it
}

// Server is a running HTTP side with all its doors, a real store beneath and a live
// side that Visitors may come to.
type Server struct {
	URL   string
	Echo  *echo.Echo
	Store storage.Store
	Hub   *hub.Hub
	// Gateway is what the doors act on.
	Gateway *gateway.Gateway
	Judge   *Judge
	HTTP    *http.Client // whose exchanges the Judge checks
	Raw     *http.Client // unchecked

	stopping chan struct{}

	t     testing.TB
	log   lockedBuffer
	mu    sync.Mutex
	fans  []Fanned
	wakes []int
	woken []diaphone.WebhookID
}

// Start runs a Server until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, Judge: NewJudge(t), stopping: make(chan struct{})}
	store, err := bolt.Open(filepath.Join(t.TempDir(), "diaphone.db"), o.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s.Store = store
	if o.Ready == nil {
		o.Ready = func(context.Context) []api.Reason { return nil }
	}
	if o.Providers == nil {
		o.Providers = map[diaphone.ProviderName]providers.Provider{
			diaphone.APNs: sized{name: "APNs", limit: 4096}, diaphone.FCM: sized{name: "FCM", limit: 4096}, diaphone.WebPush: sized{name: "Web Push", limit: 3993},
		}
	}
	live := hub.New(hub.Config{})
	s.Hub = live
	g := s.gateway(o, live)
	s.Gateway = g
	logger := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := prometheus.NewRegistry()
	s.Echo, err = api.New(api.Config{
		Logger:   logger,
		Registry: registry,
		Ready:    o.Ready,

		TrustedProxies: o.TrustedProxies, FailedAuths: o.FailedAuths,
		Doors: []api.Door{
			rest.New(rest.Config{Gateway: g, Logger: logger, Stopping: s.stopping}),
			device.New(device.Config{Gateway: g, Metrics: device.NewMetrics(registry)}),
			channels.New(channels.Config{Gateway: g, Hub: live, Logger: logger}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.run(live)
	s.serve()
	return s
}

// run has the live side run until the test ends.
func (s *Server) run(live *hub.Hub) {
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = live.Run(ctx) })
	s.t.Cleanup(func() {
		cancel()
		run.Wait()
	})
}

func (s *Server) gateway(o Options, live *hub.Hub) *gateway.Gateway {
	credentials := []diaphone.Credential{
		{Name: "apple", Provider: diaphone.APNs, Environment: diaphone.Sandbox},
		{Name: "google", Provider: diaphone.FCM},
		{Name: "browsers", Provider: diaphone.WebPush},
	}
	settings := diaphone.ChannelSettings{History: []diaphone.HistoryRule{{Prefix: "news", Events: 5}}}
	tenants := []diaphone.App{
		{ID: "1", Keys: []diaphone.Key{{Key: Key1, Secret: secret1}}, Tokens: []diaphone.AccessToken{{Hash: diaphone.HashToken(Token1)}}, Credentials: credentials, Channels: settings, Enrolment: true,
			Webhooks: []diaphone.Webhook{{Name: "backend", URL: "https://hooks.example.com:8443/in?key=secretive", Prefixes: []string{"presence-"}}}},
		{ID: "2", Tokens: []diaphone.AccessToken{{Hash: diaphone.HashToken(Token2)}}, Credentials: credentials, Channels: settings, Enrolment: true},
	}
	for i := range tenants {
		if o.Edit != nil {
			o.Edit(&tenants[i])
		}
	}
	apps, err := gateway.NewApps(tenants)
	if err != nil {
		s.t.Fatal(err)
	}
	lanes := map[diaphone.Lane]providers.Provider{}
	for _, a := range apps.All() {
		for _, c := range a.Credentials {
			lanes[diaphone.Lane{App: a.ID, Credential: c.Name}] = o.Providers[c.Provider]
		}
	}
	return gateway.New(gateway.Config{
		Apps: apps, Devices: s.Store, Outbox: s.Store, History: s.Store, Receipts: s.Store, Notices: s.Store, Providers: lanes,
		Past: live.Past, WebhookStates: o.Webhooks,
		Endpoint: egress.New(egress.Config{}).Only("push.services.mozilla.com").Check,
		Fanout: func(app *diaphone.App, channels []diaphone.ChannelName, e diaphone.Event) {
			live.Publish(app, channels, e)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.fans = append(s.fans, Fanned{App: app.ID, Channels: channels, Event: e})
		},
		Await: func(app *diaphone.App, w diaphone.Awaited) func([]diaphone.ChannelName, *diaphone.Event) {
			publish := live.Await(app, w)
			return func(channels []diaphone.ChannelName, e *diaphone.Event) {
				publish(channels, e)
				if e == nil {
					return
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				s.fans = append(s.fans, Fanned{App: app.ID, Channels: channels, Event: *e, Awaited: &w})
			}
		},
		Wake: func([]diaphone.Lane, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wakes = append(s.wakes, len(s.fans))
		},
		Retention: 7 * 24 * time.Hour,
		LaneState: func(context.Context, diaphone.Lane) (push.LaneState, bool) { return o.Lane, true },
		Recall:    func(context.Context, diaphone.AppID, diaphone.MessageID) (int, error) { return o.Aloft, nil },
		Live: gateway.Live{
			Channels: live.Channels, Channel: live.Channel, Members: live.Members, Cached: live.Cached, Position: live.Position,
			User: live.User, Remembered: live.Remembered, Disconnect: live.Terminate, Confirm: live.Confirm,
		},
		WakeWebhook: func(id diaphone.WebhookID) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.woken = append(s.woken, id)
		},
	})
}

func (s *Server) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	server := api.NewServer(s.Echo, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	s.URL = "http://" + l.Addr().String()
	transport := &http.Transport{}
	s.Raw = &http.Client{Transport: transport}
	s.HTTP = &http.Client{Transport: s.Judge.Transport(s.t, transport)}
	s.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("serve: %v", err)
		}
	})
}

// Stop has answers without an end end, as a stop does. It is called once.
func (s *Server) Stop() { close(s.stopping) }

// Fanned gives the events that reached the live side so far.
func (s *Server) Fanned() []Fanned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Fanned(nil), s.fans...)
}

// Wakes gives for each time that the asleep side was told of new work how many events
// had reached the live side by then.
func (s *Server) Wakes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.wakes...)
}

// Woken gives the webhooks that have been told of new work so far.
func (s *Server) Woken() []diaphone.WebhookID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]diaphone.WebhookID(nil), s.woken...)
}

// Log gives what was logged so far.
func (s *Server) Log() string { return s.log.String() }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON decodes the body, or fails the test.
func (a Answer) JSON(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, into); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
}

// Do makes a request as the owner of the bearer token (empty: none), with a JSON
// body unless it is empty. Headers come as "Name: value". The Judge watches.
func (s *Server) Do(token, method, path, body string, headers ...string) Answer {
	s.t.Helper()
	return s.do(s.HTTP, token, method, path, body, headers)
}

func (s *Server) do(c *http.Client, token, method, path, body string, headers []string) Answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	seen := map[string]bool{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if !seen[name] {
			r.Header.Del(name)
		}
		seen[name] = true
		r.Header.Add(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: got}
}

func decodeAny(document []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(document))
	err = d.Decode(&v)
	return v, err
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// sized is a provider that measures and never sends.
type sized struct {
	name  string
	limit int
}

func (p sized) Render(m *diaphone.Message) (providers.Rendered, error) {
	payload, err := json.Marshal(m.Notification)
	if err != nil {
		return providers.Rendered{}, err
	}
	if len(payload) > p.limit {
		detail := diaphone.Errorf(diaphone.TooLarge, "the %s payload has %d bytes, the limit is %d", p.name, len(payload), p.limit)
		detail.Fields = []diaphone.FieldError{{Pointer: "/notification", Code: "too_large", Detail: detail.Detail}}
		return providers.Rendered{}, detail
	}
	return providers.Rendered{Payload: payload, Limit: p.limit}, nil
}

func (p sized) Send(context.Context, *diaphone.Delivery) diaphone.Outcome {
	return diaphone.Outcome{Verdict: diaphone.Retry}
}

func (p sized) Probe(context.Context) providers.Finding {
	return providers.Finding{Grade: providers.Sound, Detail: p.name + " sends nothing"}
}

func (p sized) Close() error { return nil }
