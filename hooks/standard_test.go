package hooks_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"context"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/storage"
)

// secretOld and secretNew are in force together.
const (
	secretOld = diaphone.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	secretNew = diaphone.Secret("whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyCDGBKInavdOK15jsl")
)

// standard gives the world's webhook the standard form.
func (w *world) standard() {
	w.app.Webhooks[0] = diaphone.Webhook{Name: "a", URL: "https://one/path", Form: diaphone.FormStandard, Secrets: []diaphone.Secret{secretNew, secretOld},
		Headers: map[string]diaphone.Secret{"webhook-id": "forged", "Webhook-Signature": "forged"}}
}

// finished puts notices of messages into the log of the webhook.
func (w *world) finished(names ...string) {
	w.t.Helper()
	var a storage.Append
	for _, name := range names {
		n := diaphone.Notice{ID: diaphone.NewNoticeID(time.Now()), At: time.Now(), Kind: diaphone.MessageFinished, Data: `{"id":"` + name + `"}`}
		a.Notices = append(a.Notices, storage.AddressedNotice{Notice: n, Webhooks: []diaphone.WebhookID{{App: "1", Name: "a"}}})
	}
	if err := w.store.Append(context.Background(), a); err != nil {
		w.t.Fatal(err)
	}
	w.engine.Wake(diaphone.WebhookID{App: "1", Name: "a"})
}

// names gives which messages an endpoint was told of, in order of arrival.
func (w *world) names(host string) (all []string) {
	for _, h := range w.ends[host].requests() {
		_, rest, _ := strings.Cut(h.body, `"data":{"id":"`)
		name, _, _ := strings.Cut(rest, `"`)
		all = append(all, name)
	}
	return all
}

func TestStandardRequest(t *testing.T) {
	inWorld(t, func(w *world) {
		w.standard()
		defer w.run()()
		w.finished("m1")
		pass(time.Second)
		w.happens("member_added presence-x ana", "client_event private-x {\"a\":\"<\"}")
		pass(time.Second)
		all := w.ends["one"].requests()
		if len(all) != 3 {
			t.Fatalf("%d requests", len(all))
		}
		at := all[0].at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		for i, want := range []string{
			`{"type":"message.finished","timestamp":"` + at + `","seq":1,"data":{"id":"m1"}}`,
			`"seq":2,"data":{"channel":"presence-x","user_id":"ana"}}`,
			`"seq":3,"data":{"channel":"private-x","event":"client-e","data":"{\"a\":\"\u003c\"}","socket_id":"1.2"}}`,
		} {
			h := all[i].header
			if !strings.HasSuffix(all[i].body, want) {
				t.Errorf("the body is %s, want %s", all[i].body, want)
			}
			id, stamp := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
			if !strings.HasPrefix(id, "ntc_") || stamp != strconv.FormatInt(all[i].at.Unix(), 10) {
				t.Errorf("id %q, timestamp %q", id, stamp)
			}
			both := hooks.SignStandard(t, id, stamp, all[i].body, secretNew) + " " + hooks.SignStandard(t, id, stamp, all[i].body, secretOld)
			if got := h.Values("Webhook-Signature"); !slices.Equal(got, []string{both}) {
				t.Errorf("signed %q, want %q", got, both)
			}
			if h.Get("X-Pusher-Signature") != "" || h.Get("Content-Type") != "application/json" || h.Get("Diaphone-Attempt") != "1" {
				t.Errorf("headers %v", h)
			}
		}
	})
}

// Notices of messages go out side by side, and what was taken is not sent again while one
// before it is refused.
func TestStandardSideBySide(t *testing.T) {
	inWorld(t, func(w *world) {
		w.standard()
		refusals := 0
		w.ends["one"].answer = func(_ int, r *http.Request) *http.Response {
			if r.Header.Get("Diaphone-Attempt") <= "2" && strings.HasSuffix(w.bodyOf("one", r), `{"id":"m3"}}`) {
				refusals++
				return status(500)
			}
			return status(200)
		}
		stop := w.run()
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprint("m", i))
		}
		begun := time.Now()
		w.finished(names...)
		pass(time.Minute)
		told := w.names("one")
		times := map[string]int{}
		for _, n := range told {
			times[n]++
		}
		for _, n := range names {
			want := 1
			if n == "m3" {
				want = 3
			}
			if times[n] != want {
				t.Errorf("%s was told %d times, want %d", n, times[n], want)
			}
		}
		if all := w.ends["one"].requests(); refusals != 2 || all[15].at.Sub(begun) > 0 {
			t.Errorf("%d refusals; the 16th request left %s after the first", refusals, all[15].at.Sub(begun))
		}
		queues, err := w.store.Queues(t.Context(), "1")
		if err != nil || len(queues) != 1 || queues[0].Pending != 0 || queues[0].Last != 40 {
			t.Errorf("%+v, %v", queues, err)
		}
		stop()
	})
}

// What is of a channel keeps its order, one request behind the other.
func TestStandardOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.standard()
		w.ends["one"].answer = func(nth int, _ *http.Request) *http.Response {
			if nth == 2 {
				return status(503)
			}
			return status(200)
		}
		defer w.run()()
		w.happens("member_added presence-x ana", "member_added presence-x bob", "member_added presence-x eve")
		pass(10 * time.Second)
		var users []string
		last := time.Time{}
		for _, h := range w.ends["one"].requests() {
			_, rest, _ := strings.Cut(h.body, `"user_id":"`)
			users = append(users, rest[:3])
			if h.at.Sub(last) < 20*time.Millisecond {
				t.Errorf("a request left before the one before it was answered")
			}
			last = h.at
		}
		if !slices.Equal(users, []string{"ana", "bob", "bob", "eve"}) {
			t.Errorf("told %q", users)
		}
	})
}

// A webhook in Pusher's form hears nothing of messages, whatever its list says, and
// prefixes are for channels.
func TestWhoHearsOfMessages(t *testing.T) {
	for _, c := range []struct {
		hook diaphone.Webhook
		kind diaphone.NoticeKind
		want bool
	}{
		{diaphone.Webhook{}, diaphone.MessageFinished, false},
		{diaphone.Webhook{Form: diaphone.FormPusher, Notices: []diaphone.NoticeKind{diaphone.MessageFinished}}, diaphone.MessageFinished, false},
		{diaphone.Webhook{Form: diaphone.FormStandard}, diaphone.MessageFinished, true},
		{diaphone.Webhook{Form: diaphone.FormStandard, Prefixes: []string{"presence-"}}, diaphone.TokenDead, true},
		{diaphone.Webhook{Form: diaphone.FormStandard, Notices: []diaphone.NoticeKind{diaphone.TokenDead}}, diaphone.MessageFinished, false},
		{diaphone.Webhook{Form: diaphone.FormStandard}, diaphone.ClientEvent, true},
	} {
		if got := c.hook.Wants(c.kind, ""); got != c.want {
			t.Errorf("%+v wants %s: %v", c.hook, c.kind, got)
		}
	}
}
