package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// endpoint is a backend whose answers the test decides. Time in these tests is
// virtual; real sockets would stop it, so it stands in the place of the transport.
type endpoint struct {
	answer func(nth int, r *http.Request) *http.Response // nil: 200

	mu    sync.Mutex
	heard []heard
}

// heard is one request.
type heard struct {
	at     time.Time
	header http.Header
	body   string
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.heard = append(e.heard, heard{time.Now(), r.Header.Clone(), string(body)})
	n := len(e.heard)
	e.mu.Unlock()
	select {
	case <-time.After(20 * time.Millisecond): // the way there and back
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	resp := status(200)
	if e.answer != nil {
		resp = e.answer(n, r)
	}
	if resp == nil { // silence
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return resp, nil
}

// bodyOf is the body of a request that the endpoint has taken in already.
func (w *world) bodyOf(host string, r *http.Request) string {
	for _, h := range w.ends[host].requests() {
		if h.header.Get("Webhook-Id") == r.Header.Get("Webhook-Id") {
			return h.body
		}
	}
	return ""
}

func status(code int, header ...string) *http.Response {
	r := &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("thanks"))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func (e *endpoint) requests() []heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

type told struct {
	Name, Channel, ID string
	User              string `json:"user_id"`
	Event, Data       string
	Seq               uint64
}

func (h heard) events(t *testing.T) []told {
	t.Helper()
	var body struct{ Events []told }
	if err := json.Unmarshal([]byte(h.body), &body); err != nil {
		t.Fatal(err)
	}
	return body.Events
}

// world is an engine over a real store, with an app of two webhooks, of which the
// second has an endpoint of its own.
type world struct {
	t      *testing.T
	path   string
	app    *diaphone.App
	store  *bolt.Store
	ends   map[string]*endpoint // by the host of the URL
	engine *hooks.Engine
	log    written
	faulty *shaky // between engine and store; nil: nobody
	most   int    // MaxPending

	mostBytes int64 // MaxPendingBytes
	counts    *prometheus.Registry
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.ends[r.URL.Host].RoundTrip(r)
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: filepath.Join(t.TempDir(), "store.db"), ends: map[string]*endpoint{"one": {}, "two": {}}}
		w.app = &diaphone.App{ID: "1", Keys: []diaphone.Key{{Key: "oldest", Secret: "s3cret"}, {Key: "newer", Secret: "other"}},
			Webhooks: []diaphone.Webhook{{Name: "a", URL: "https://one/path?token=geheim", Headers: map[string]diaphone.Secret{
				"X-Gateway": "ours", "content-type": "text/plain", "x-pusher-key": "forged", "X-Pusher-Signature": "forged"}}}}
		test(w)
	})
}

func (w *world) alsoTwo() {
	w.app.Webhooks = append(w.app.Webhooks, diaphone.Webhook{Name: "b", URL: "https://two/"})
}

// written is a log.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *written) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *written) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// run opens the store and runs an engine; the returned function ends both.
func (w *world) run() (stop func()) {
	w.t.Helper()
	var err error
	if w.store, err = bolt.Open(w.path, bolt.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	w.counts = prometheus.NewRegistry()
	c := hooks.Config{Apps: []*diaphone.App{{ID: "none"}, w.app}, Notices: w.store, Client: &http.Client{Transport: w}, MaxPending: w.most, MaxPendingBytes: w.mostBytes,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Metrics: hooks.NewMetrics(w.counts)}
	if w.faulty != nil {
		w.faulty.Notices, c.Notices = w.store, w.faulty
	}
	if w.engine, err = hooks.New(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		if err := errors.Join(<-ended, w.store.Close()); err != nil {
			w.t.Error(err)
		}
	}
}

// happens takes lines such as "member_added presence-x ana" and "client_event private-x data".
func (w *world) happens(lines ...string) {
	for _, line := range lines {
		words := append(strings.Fields(line), "")
		n := diaphone.Notice{Kind: diaphone.NoticeKind(words[0]), Channel: diaphone.ChannelName(words[1])}
		switch n.Kind {
		case diaphone.MemberAdded, diaphone.MemberRemoved:
			n.User = diaphone.UserID(words[2])
		case diaphone.ClientEvent:
			n.Event, n.Socket, n.Data = "client-e", "1.2", words[2]
		}
		w.engine.Notice(w.app, n)
	}
}

// put puts a client event into the log of a webhook, as of that time.
func (w *world) put(id diaphone.WebhookID, at time.Time, data string) {
	w.t.Helper()
	n := diaphone.Notice{ID: diaphone.NewNoticeID(at), At: at, Kind: diaphone.ClientEvent, Channel: "news", Event: "client-e", Socket: "1.2", Data: data}
	err := w.store.Append(context.Background(), storage.Append{Notices: []storage.AddressedNotice{{Notice: n, Webhooks: []diaphone.WebhookID{id}}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// dropped is how many notices of a webhook were.
func (w *world) dropped(webhook string) (n int) {
	w.t.Helper()
	families, err := w.counts.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "diaphone_webhook_notices_dropped_total" && m.GetLabel()[1].GetValue() == webhook {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// hears gives what an endpoint has taken in, one line for each event of each request.
func (w *world) hears(host string) (lines []string) {
	w.t.Helper()
	for _, h := range w.ends[host].requests() {
		for _, e := range h.events(w.t) {
			lines = append(lines, strings.TrimSpace(fmt.Sprintln(e.Name, e.Channel, e.User+e.Data)))
		}
	}
	return lines
}

func (w *world) expect(host string, want ...string) {
	w.t.Helper()
	if got := w.hears(host); !slices.Equal(got, want) {
		w.t.Fatalf("%s heard %q, want %q", host, got, want)
	}
}

func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

func (w *world) standing() (all []string) {
	w.t.Helper()
	store, err := bolt.Open(w.path, bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	page, _, err := store.Standing(context.Background(), "", storage.Page{Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range page {
		all = append(all, strings.TrimPrefix(strings.TrimSpace(fmt.Sprintln(s.App, s.Channel, s.User)), "1 "))
	}
	slices.Sort(all)
	return all
}

// shaky is a store that takes nothing for a while, as a full disk.
type shaky struct {
	storage.Notices
	mu   sync.Mutex
	down bool
}

func (s *shaky) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return diaphone.Errorf(diaphone.StorageFull, "the disk is full")
	}
	return nil
}

func (s *shaky) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *shaky) Append(ctx context.Context, a storage.Append) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Notices.Append(ctx, a)
}

func (s *shaky) Done(ctx context.Context, id diaphone.WebhookID, upTo uint64) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Notices.Done(ctx, id, upTo)
}
