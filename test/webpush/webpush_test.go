//go:build firefox

package webpush

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// bound is how long a step may take; a Firefox starts in three seconds on a quiet
// machine.
const bound = 60 * time.Second

//go:embed page
var pages embed.FS

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// told is something that page or worker told, and when.
type told struct {
	at   time.Time
	body []byte
}

// site serves the page, plays its backend, and hears what page and worker tell.
type site struct {
	t        *testing.T
	world    *harness.World
	vapidKey string

	seen, shown, subscribed, left, failed chan told
}

func newSite(t *testing.T, w *harness.World) (*site, *httptest.Server) {
	t.Helper()
	s := &site{t: t, world: w, seen: make(chan told, 100), shown: make(chan told, 100),
		subscribed: make(chan told, 1), left: make(chan told, 1), failed: make(chan told, 1)}
	key, errs, code := harness.RunWith(t, nil, "keys", "vapid", "--out", filepath.Join(filepath.Dir(w.DataDir()), "sim", "vapid.pem"))
	if code != 0 {
		t.Fatalf("keys vapid: exit code %d\n%s", code, errs)
	}
	s.vapidKey = strings.TrimSpace(key)
	mux := http.NewServeMux()
	own, err := fs.Sub(pages, "page")
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("GET /", http.FileServerFS(own))
	client := http.FileServer(http.Dir("../../clients/web"))
	mux.Handle("GET /diaphone.js", client)
	mux.Handle("GET /service-worker.js", client)
	mux.HandleFunc("GET /start", s.start)
	mux.HandleFunc("POST /register/{id}", s.register)
	for path, to := range map[string]chan told{"/seen": s.seen, "/shown": s.shown, "/subscribed": s.subscribed, "/left": s.left, "/failed": s.failed} {
		mux.HandleFunc("POST "+path, func(_ http.ResponseWriter, r *http.Request) {
			at := time.Now()
			body, _ := io.ReadAll(r.Body)
			to <- told{at, body}
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s, server
}

// start answers when the browser's push service has said hello: Firefox loses a
// subscription that is asked for earlier.
func (s *site) start(w http.ResponseWriter, _ *http.Request) {
	harness.Until(s.t, bound, "Firefox connects to its push service", func() bool {
		var stats map[string]struct{ Connections int }
		s.world.SimCall(http.MethodGet, "/sim/stats", nil, &stats)
		return stats["webpush"].Connections > 0
	})
	_ = json.NewEncoder(w).Encode(map[string]string{"vapidKey": s.vapidKey})
}

// register is what an app's backend does: it adds the user.
func (s *site) register(w http.ResponseWriter, r *http.Request) {
	var device wire.NewDevice
	err := json.NewDecoder(r.Body).Decode(&device)
	if err == nil {
		device.UserID = "ana"
		_, err = s.world.Client.PutDevice(r.Context(), diaphone.DeviceID(r.PathValue("id")), device)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (s *site) await(what string, from chan told) told {
	s.t.Helper()
	select {
	case x := <-from:
		return x
	case x := <-s.failed:
		s.t.Fatalf("%s: the page failed: %s", what, x.body)
	case <-time.After(bound):
		s.t.Fatalf("%s: not within %v", what, bound)
	}
	return told{}
}

func (s *site) send(n diaphone.Notification) diaphone.MessageID {
	s.t.Helper()
	p, err := s.world.Client.Publish(context.Background(), wire.NewMessage{
		To: wire.Audience{Users: []diaphone.UserID{"ana"}}, Notification: &n,
	}, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return p.ID
}

// document is what a browser is sent.
type document struct {
	Mark         int `json:"web_push"`
	Notification struct {
		Title, Body, Navigate, Tag string
		Data                       map[string]string
	}
}

func TestFirefox(t *testing.T) {
	began := time.Now()
	w := harness.NewWorld(t, nil)
	s, server := newSite(t, w)
	startFirefox(t, strings.TrimPrefix(w.SimURL, "http://"), server.URL+"/")
	s.await("the page subscribes", s.subscribed)
	t.Logf("started and subscribed in %v", time.Since(began).Round(time.Millisecond))

	const messages = 5
	for i := range messages {
		sent := time.Now()
		id := s.send(diaphone.Notification{
			Title: fmt.Sprintf("Ben %d", i), Body: strings.Repeat("hé", 100*i), Data: map[string]string{"chat": "7"}, CollapseID: "chat/7",
			WebPush: []byte(`{"notification":{"navigate":"/chat/7"}}`),
		})
		seen := s.await("the worker gets a message", s.seen)
		t.Logf("message %d: from send to service worker %v", i, seen.at.Sub(sent).Round(100*time.Microsecond))
		var d document
		if err := json.Unmarshal(seen.body, &d); err != nil || d.Mark != 8030 || d.Notification.Title != fmt.Sprintf("Ben %d", i) ||
			d.Notification.Navigate != "/chat/7" || d.Notification.Data["_mid"] != string(id) || d.Notification.Data["chat"] != "7" {
			t.Errorf("the worker got %s, %v", seen.body, err)
		}
		// One is on the screen: it has replaced the one before.
		var shown struct {
			Shown []struct{ Title, Body, Tag string }
		}
		x := s.await("the page hears of it", s.shown)
		if err := json.Unmarshal(x.body, &shown); err != nil || len(shown.Shown) != 1 || shown.Shown[0].Title != fmt.Sprintf("Ben %d", i) ||
			shown.Shown[0].Body != strings.Repeat("hé", 100*i) || shown.Shown[0].Tag != "chat/7" {
			t.Errorf("shown: %s, %v", x.body, err)
		}
		if m := w.Await(id, bound); m.Counts.Delivered != 1 {
			t.Errorf("counts %+v", m.Counts)
		}
	}

	// What has no title shows nothing, and the page hears of it all the same. It
	// unsubscribes, so that the next message finds nobody and the token is forgotten.
	s.send(diaphone.Notification{Data: map[string]string{"then": "leave"}})
	s.await("the worker gets data", s.seen)
	if x := s.await("the page hears of it", s.shown); !strings.Contains(string(x.body), `"then":"leave"`) || strings.Count(string(x.body), `"tag":"chat/7"`) != 1 {
		t.Errorf("shown: %s", x.body)
	}
	if x := s.await("the page unsubscribes", s.left); string(x.body) != "true" {
		t.Errorf("unsubscribe: %s", x.body)
	}
	harness.Until(t, bound, "a message fails", func() bool { // Firefox tells its push service when it pleases
		return w.Await(s.send(diaphone.Notification{Title: "late"}), bound).Counts.Failed == 1
	})
	for d, err := range w.Client.AllDevices(context.Background(), "ana") {
		if err != nil || d.Tokens[0].State != wire.TokenGone {
			t.Errorf("device %+v, %v: want its token gone", d, err)
		}
	}
	t.Logf("the whole run took %v", time.Since(began).Round(time.Millisecond))
}
