// Package canary walks over everything that a gateway tells anybody, with secrets of
// its own in every place that can hold one. What the walk brings out is searched by the
// harness, as it is in every other test of whole programs (harness.Watch).
package canary

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/diaphone-dev/diaphone/test/harness"
	"github.com/diaphone-dev/diaphone/test/harness/leak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// canaries are the planted values of one world.
type canaries struct {
	secret, bearer, query, header string // of the app and its webhook
	body, user                    string
	told                          string // of a webhook; no secret, and told everywhere
}

// made gives values that nobody else has.
func made() canaries {
	one := func(what string) string {
		raw := make([]byte, 20)
		_, _ = rand.Read(raw) // never fails
		return what + "_" + hex.EncodeToString(raw)
	}
	return canaries{secret: one("sk"), bearer: one("dp"), query: one("qs"), header: one("hd"), body: one("text"), user: one("user"), told: one("hook")}
}

// walk is one world on the way to its search.
type walk struct {
	*harness.World
	t     *testing.T
	c     canaries
	hooks *atomic.Int64 // requests to the webhook
}

// begin starts a world in which every secret is a canary. Its webhook answers with all
// that it is told.
func begin(t *testing.T) *walk {
	t.Helper()
	c, hooks := made(), &atomic.Int64{}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hooks.Add(1)
		w.Header().Set("Location", r.URL.String())
		http.Error(w, r.URL.String()+" "+r.Header.Get("Authorization"), http.StatusInternalServerError)
	}))
	t.Cleanup(backend.Close)
	w := harness.NewWorld(t, func(apps string) string {
		apps = strings.Replace(apps, "secret: app-secret", "secret: "+c.secret, 1)
		apps = strings.Replace(apps, "    tokens:\n", "    tokens:\n      - token: "+c.bearer+"\n", 1)
		return apps + "    channels: {client_events: true, history: [{}]}\n" +
			"    webhooks:\n      - {name: backend, url: \"" + backend.URL + "/in?key=" + c.query + "\", headers: {Authorization: \"Bearer " + c.header + "\"}}\n" +
			"      - {name: " + c.told + ", url: \"http://127.0.0.1:1/in?key=" + c.query + "\", headers: {X-Key: " + c.header + "}}\n"
	})
	w.Watch.Plant(leak.WebhookHeader, c.header)
	w.Watch.Plant(leak.Body, c.body)
	w.Watch.Plant(leak.User, c.user)
	return &walk{w, t, c, hooks}
}

// Nothing that the gateway tells anybody has a secret or a token in it, whatever is done
// to it.
func TestNothingLeaks(t *testing.T) {
	w := begin(t)
	before := w.Watch.Planted()
	w.deliver()
	w.commands()
	w.strangers()
	w.mistakes()
	w.mistakesOfBackends()
	w.sockets()
	w.vendors()
	w.backups()
	w.faults()
	w.end()
	if n := w.Watch.Planted(); before < 20 || n < before+10 {
		t.Errorf("%d values were planted at the start, %d at the end", before, n)
	}
	w.searched()
}

// searched is the negative control: what is no secret, but would be as hard to find as
// one, is found in each place.
func (w *walk) searched() {
	w.t.Helper()
	for told, places := range map[string][]string{
		w.c.told:        {"the gateway's log", "the metrics", "diaphone config", "diaphone webhooks", "the answer 404"},
		"level=DEBUG":   {"the gateway's log"},
		"SIGQUIT: quit": {"the gateway's log"},
		"invalid_token": {"the answer 401"},
		"android-0":     {"a backup", "diaphone send", "diaphone devices"},
		"connections":   {"diaphone users"},
		"checked":       {"diaphone backup"},
		"salvaged":      {"diaphone salvage"},
		"schema":        {"diaphone check"},
	} {
		found := "\n" + strings.Join(w.Watch.Finds(leak.AppSecret, told), "\n")
		for _, place := range places {
			if !strings.Contains(found, "\n"+place) {
				w.t.Errorf("%q was not found in %s, but in:%s", told, place, found)
			}
		}
	}
}
