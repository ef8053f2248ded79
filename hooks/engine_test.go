package hooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hooks"
	"github.com/diaphone-dev/diaphone/storage"
)

func TestOneRequest(t *testing.T) {
	inWorld(t, func(w *world) {
		defer w.run()()
		w.engine.Notice(&diaphone.App{ID: "none"}, diaphone.Notice{Kind: diaphone.ChannelOccupied, Channel: "x"})
		begun := time.Now()
		w.happens("channel_occupied presence-x", "member_added presence-x ana")
		pass(200 * time.Millisecond)
		w.engine.Notice(w.app, diaphone.Notice{Kind: diaphone.ClientEvent, Channel: "presence-x", User: "ana", Socket: "1.2", Event: "client-<ü>"})
		w.engine.Notice(w.app, diaphone.Notice{Kind: diaphone.SubscriptionCount, Channel: "presence-x", Count: 0})
		pass(time.Second)
		all := w.ends["one"].requests()
		if len(all) != 1 {
			t.Fatalf("%d requests", len(all))
		}
		if wait := all[0].at.Sub(begun); wait < 250*time.Millisecond || wait > 300*time.Millisecond {
			t.Errorf("sent after %s, want 250 ms after the first notice", wait)
		}
		var got struct {
			TimeMS int64 `json:"time_ms"`
			Events []map[string]any
		}
		if err := json.Unmarshal([]byte(all[0].body), &got); err != nil {
			t.Fatal(err)
		}
		if got.TimeMS != begun.UnixMilli() {
			t.Errorf("time_ms %d, want %d", got.TimeMS, begun.UnixMilli())
		}
		ids := map[any]bool{}
		for _, e := range got.Events {
			ids[e["id"]] = true
			delete(e, "id")
		}
		want := `[{"channel":"presence-x","name":"channel_occupied","seq":1},` +
			`{"channel":"presence-x","name":"member_added","seq":2,"user_id":"ana"},` +
			`{"channel":"presence-x","data":"","event":"client-\u003cü\u003e","name":"client_event","seq":3,"socket_id":"1.2","user_id":"ana"},` +
			`{"channel":"presence-x","name":"subscription_count","seq":4,"subscription_count":0}]`
		if text, _ := json.Marshal(got.Events); string(text) != want || len(ids) != 4 {
			t.Errorf("events %s, %d ids", text, len(ids))
		}
		h := all[0].header
		for name, want := range map[string]string{"Content-Type": "application/json", "X-Pusher-Key": "oldest", "Diaphone-Attempt": "1", "X-Gateway": "ours", "User-Agent": "diaphone"} {
			if got := h.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if got := h.Get("X-Pusher-Signature"); got != hooks.Sign("s3cret", all[0].body) {
			t.Errorf("signature %q", got)
		}
	})
}

func TestABatchIsTwenty(t *testing.T) {
	inWorld(t, func(w *world) {
		defer w.run()()
		begun := time.Now()
		w.happens("channel_occupied private-x")
		for i := range 44 {
			w.happens(fmt.Sprint("client_event private-x ", i))
		}
		pass(time.Second)
		var sizes []int
		for i, h := range w.ends["one"].requests() {
			events := h.events(t)
			sizes = append(sizes, len(events))
			if i < 2 && h.at.Sub(begun) > 100*time.Millisecond {
				t.Errorf("a full request waited for %s", h.at.Sub(begun))
			}
			for j, e := range events {
				if e.Seq != uint64(20*i+j+1) {
					t.Errorf("request %d, event %d has number %d", i, j, e.Seq)
				}
			}
		}
		if !slices.Equal(sizes, []int{20, 20, 5}) {
			t.Errorf("requests of %v", sizes)
		}
	})
}

// A clock that was set back says of what waits that it is yet to come: that holds up
// nothing.
func TestAClockThatWasSetBack(t *testing.T) {
	inWorld(t, func(w *world) {
		defer w.run()()
		id := diaphone.WebhookID{App: "1", Name: "a"}
		w.put(id, time.Now().Add(time.Hour), "early")
		w.engine.Wake(id)
		pass(time.Second)
		w.expect("one", "client_event news early")
	})
}

func TestRetriesKeepTheOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.ends["one"].answer = func(nth int, _ *http.Request) *http.Response {
			switch {
			case nth == 1:
				return nil
			case nth == 2:
				return status(302, "Location", "https://two/")
			case nth < 9, nth == 10:
				return status(500)
			}
			return status(204)
		}
		w.alsoTwo()
		defer w.run()()
		w.happens("channel_occupied presence-x", "member_added presence-x ana")
		pass(time.Second)
		w.happens("client_event presence-x late")
		pass(10 * time.Minute)
		all := w.ends["one"].requests()
		if len(all) != 9 {
			t.Fatalf("%d requests, want 9", len(all))
		}
		first, last := all[0].events(t), all[8].events(t)
		if !slices.Equal(first, last[:2]) || len(last) != 3 {
			t.Errorf("first %+v, at last %+v", first, last)
		}
		for i, h := range all {
			if got := h.header.Get("Diaphone-Attempt"); got != fmt.Sprint(i+1) {
				t.Errorf("attempt %s, want %d", got, i+1)
			}
			if i == 1 && h.at.Sub(all[0].at) < 4*time.Second {
				t.Errorf("silence was waited for only %s", h.at.Sub(all[0].at))
			}
			if i > 0 && h.at.Sub(all[i-1].at) > 4*time.Second+time.Minute+time.Second {
				t.Errorf("attempt %d came %s after the one before", i+1, h.at.Sub(all[i-1].at))
			}
		}
		if n := len(w.ends["two"].requests()); n != 2 {
			t.Errorf("%d requests at the other endpoint, want two: it is not held up, and no redirect leads there", n)
		}
		w.happens("client_event presence-x again")
		pass(2 * time.Second)
		if again := w.ends["one"].requests()[9:]; len(again) != 2 || again[0].header.Get("Diaphone-Attempt") != "1" || again[1].header.Get("Diaphone-Attempt") != "2" || again[1].at.Sub(again[0].at) > time.Second+30*time.Millisecond {
			t.Errorf("after it was well once: %+v", again)
		}
		s := w.engine.States()
		if s[diaphone.WebhookID{App: "1", Name: "a"}] != (hooks.State{LastStatus: 204}) || s[diaphone.WebhookID{App: "1", Name: "b"}] != (hooks.State{LastStatus: 200}) {
			t.Errorf("states %+v", s)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, c := range []struct {
		status int
		value  func() string
		least  time.Duration
		most   time.Duration
	}{
		{429, func() string { return "90" }, 90 * time.Second, 91 * time.Second},
		{503, func() string { return time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat) }, 119 * time.Second, 121 * time.Second},
		{503, func() string { return "86400" }, time.Hour, time.Hour + time.Second},
		{500, func() string { return "90" }, 0, time.Second + 50*time.Millisecond},
		{429, func() string { return "soon" }, 0, time.Second + 50*time.Millisecond},
	} {
		inWorld(t, func(w *world) {
			w.ends["one"].answer = func(nth int, _ *http.Request) *http.Response {
				if nth == 1 {
					return status(c.status, "Retry-After", c.value())
				}
				return status(200)
			}
			defer w.run()()
			w.happens("channel_occupied news")
			pass(time.Second / 2)
			if c.least > 0 {
				s := w.engine.States()[diaphone.WebhookID{App: "1", Name: "a"}]
				if until := time.Until(s.NextAttempt); s.LastStatus != c.status || !strings.HasPrefix(s.LastError, fmt.Sprint(c.status)) || s.FailingSince.IsZero() || until > c.most || until < c.least-time.Second {
					t.Errorf("state %+v", s)
				}
			}
			if c.least > 0 {
				w.happens("channel_occupied other") // which is no reason to hurry
			}
			pass(2 * time.Hour)
			all := w.ends["one"].requests()
			if len(all) != 2 {
				t.Fatalf("%d requests", len(all))
			}
			if gap := all[1].at.Sub(all[0].at); gap < c.least || gap > c.most {
				t.Errorf("%d with %q: again after %s, want %s to %s", c.status, c.value(), gap, c.least, c.most)
			}
		})
	}
}

// After a day the front is buried, and what is younger goes on.
func TestDeadLetters(t *testing.T) {
	inWorld(t, func(w *world) {
		var up atomic.Bool
		w.ends["one"].answer = func(int, *http.Request) *http.Response {
			if up.Load() {
				return status(200)
			}
			return status(418)
		}
		defer w.run()()
		w.happens("channel_occupied private-x", "client_event private-x old")
		pass(23 * time.Hour)
		w.happens("client_event private-x young")
		pass(2 * time.Hour)
		id := diaphone.WebhookID{App: "1", Name: "a"}
		dead, _, err := w.store.DeadLetters(context.Background(), id, storage.Page{Limit: 10})
		if err != nil || len(dead) != 2 || dead[0].Seq != 1 || dead[1].Notice.Data != "old" || dead[1].Reason != "418 I'm a teapot" {
			t.Fatalf("dead letters %+v, %v", dead, err)
		}
		if _, _, err := w.store.Revive(context.Background(), id, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		pass(22*time.Hour + 30*time.Minute) // the young one is given up, those that were revived have time
		dead, _, err = w.store.DeadLetters(context.Background(), id, storage.Page{Limit: 10})
		if err != nil || len(dead) != 1 || dead[0].Notice.Data != "young" {
			t.Fatalf("dead letters %+v, %v", dead, err)
		}
		up.Store(true)
		pass(2 * time.Minute)
		if _, _, err := w.store.Revive(context.Background(), id, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.engine.Wake(id)
		w.engine.Wake(diaphone.WebhookID{App: "1", Name: "gone"})
		pass(time.Second)
		all := w.ends["one"].requests()
		revived, last := all[len(all)-2].events(t), all[len(all)-1].events(t)
		if len(revived) != 2 || revived[1].Data != "old" || revived[1].Seq != 5 || len(last) != 1 || last[0].Data != "young" || last[0].Seq != 6 {
			t.Errorf("at last %+v, then %+v", revived, last)
		}
		if text := w.log.String(); strings.Contains(text, "geheim") || strings.Contains(text, "https:") || !strings.Contains(text, "dead letters") {
			t.Errorf("the log has %s", text)
		}
	})
}

// A gateway that was stopped for days is no endpoint that was away: what has grown old
// meanwhile is tried for an hour before it is given up.
func TestAStopOfDaysBuriesNothing(t *testing.T) {
	for _, c := range []struct {
		name          string
		down          time.Duration // of the endpoint, after the start
		buried, taken int
	}{
		{"one attempt in vain", 100 * time.Millisecond, 0, 3},
		{"most of an hour in vain", 55 * time.Minute, 0, 3},
		{"gone for longer", 2 * time.Hour, 2, 1},
	} {
		inWorld(t, func(w *world) {
			begun := time.Now()
			w.ends["one"].answer = func(int, *http.Request) *http.Response {
				if time.Since(begun) < c.down {
					return status(500)
				}
				return status(200)
			}
			defer w.run()()
			id := diaphone.WebhookID{App: "1", Name: "a"}
			w.put(id, begun.Add(-72*time.Hour), "older")
			w.put(id, begun.Add(-25*time.Hour), "old")
			w.put(id, begun.Add(-20*time.Hour), "young")
			w.engine.Wake(id)
			pass(3 * time.Hour)
			q, err := w.store.Queues(context.Background(), "1")
			if err != nil || len(q) != 1 || q[0].Dead != int64(c.buried) || q[0].Pending != 0 {
				t.Errorf("%s: %+v, %v", c.name, q, err)
			}
			all := w.ends["one"].requests()
			if last := all[len(all)-1].events(t); len(last) != c.taken {
				t.Errorf("%s: at last %+v", c.name, last)
			}
		})
	}
}

// However much has become too old, it is all given up at once.
func TestAllThatIsOldIsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.ends["one"].answer = func(int, *http.Request) *http.Response { return status(500) }
		defer w.run()()
		w.happens("channel_occupied private-x")
		for range 449 {
			w.happens("client_event private-x old")
		}
		pass(12 * time.Hour)
		w.happens("client_event private-x young")
		pass(12*time.Hour + 2*time.Minute)
		q, err := w.store.Queues(context.Background(), "1")
		if err != nil || len(q) != 1 || q[0].Dead != 450 || q[0].Pending != 1 {
			t.Errorf("%+v, %v", q, err)
		}
	})
}

// Killed or stopped, at whatever moment: what was not taken comes after the start, in
// order, and who has not come back is told as gone.
func TestRestart(t *testing.T) {
	for _, held := range []bool{true, false} {
		inWorld(t, func(w *world) {
			w.ends["one"].answer = func(int, *http.Request) *http.Response { return status(500) }
			stop := w.run()
			w.happens("channel_occupied presence-x", "member_added presence-x ana", "member_added presence-x bob")
			pass(time.Second)
			if held {
				w.engine.Hold()
			}
			w.happens("client_event presence-x last", "member_removed presence-x bob", "member_removed presence-x ana", "channel_vacated presence-x")
			pass(time.Second) // less than the grace: a held engine may wait for longer
			if held {
				pass(time.Minute)
			}
			stop()
			w.ends["one"] = &endpoint{}
			stop = w.run()
			pass(time.Second)
			w.happens("channel_occupied presence-x", "member_added presence-x bob")
			pass(28 * time.Second)
			before := []string{"channel_occupied presence-x", "member_added presence-x ana", "member_added presence-x bob", "client_event presence-x last"}
			w.expect("one", before...)
			pass(2 * time.Second)
			w.expect("one", append(before, "member_removed presence-x ana")...)
			w.happens("client_event presence-x later")
			stop() // and yet it is put into the log
			w.ends["one"] = &endpoint{}
			defer w.run()()
			pass(time.Minute)
			w.expect("one", "client_event presence-x later", "member_removed presence-x bob", "channel_vacated presence-x")
		})
	}
}

// Webhooks hear what they want to hear.
func TestFilters(t *testing.T) {
	inWorld(t, func(w *world) {
		w.alsoTwo()
		w.app.Webhooks[1].Notices = []diaphone.NoticeKind{diaphone.MemberRemoved, diaphone.ChannelOccupied}
		w.app.Webhooks[1].Prefixes = []string{"presence-y", "presence-z"}
		w.app.Webhooks[0].Notices = []diaphone.NoticeKind{diaphone.ClientEvent}
		stop := w.run()
		w.happens("channel_occupied presence-x", "member_added presence-x ana", "channel_occupied presence-y", "member_added presence-y ana",
			"client_event presence-y 1")
		pass(time.Second)
		stop()
		standing := w.standing()
		if want := []string{"presence-y", "presence-y ana"}; !slices.Equal(standing, want) {
			t.Errorf("%q stand, want %q: of the other nobody was told", standing, want)
		}
		defer w.run()()
		pass(31 * time.Second)
		w.expect("one", "client_event presence-y 1")
		w.expect("two", "channel_occupied presence-y", "member_removed presence-y ana")
	})
}

// What apps were told that declare no webhook any more, or are not there any more, is
// forgotten; if they declare one again they are told anew.
func TestWhatNobodyIsToldAnyMoreIsForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		s := &shaky{}
		w.faulty = s
		stop := w.run()
		w.happens("channel_occupied news")
		strays := []storage.Stand{{App: "none", Channel: "presence-x"}, {App: "none", Channel: "presence-x", User: "ana"}}
		for i := range storage.MaxPage + 1 {
			strays = append(strays, storage.Stand{App: "gone", Channel: diaphone.ChannelName(fmt.Sprint("c", i))})
		}
		if err := w.store.Append(context.Background(), storage.Append{Begun: strays}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		stop()
		stop = w.run()
		s.set(true)
		pass(5 * time.Second)
		s.set(false)
		pass(5 * time.Second)
		stop()
		if standing := w.standing(); !slices.Equal(standing, []string{"news"}) {
			t.Errorf("%q stand", standing)
		}
		w.app.Webhooks = nil
		stop = w.run()
		pass(time.Second)
		stop()
		if standing := w.standing(); len(standing) > 0 {
			t.Errorf("%q stand", standing)
		}
	})
}

func TestAFullStoreLosesNoState(t *testing.T) {
	inWorld(t, func(w *world) {
		s := &shaky{}
		w.faulty = s
		defer w.run()()
		w.happens("channel_occupied private-x", "channel_occupied private-y")
		pass(time.Second)
		s.set(true)
		w.happens("client_event private-x kept")
		pass(time.Second) // it has been taken out for the store, which does not take it
		w.happens("channel_vacated private-y", "channel_occupied private-z", "channel_occupied private-new")
		pass(time.Minute)
		w.happens("channel_vacated private-z", "channel_occupied private-y", "client_event private-x also")
		pass(time.Minute)
		w.expect("one", "channel_occupied private-x", "channel_occupied private-y")
		s.set(false)
		pass(5 * time.Second)
		// It is told how it is: y is occupied as before, z as vacated as before.
		w.expect("one", "channel_occupied private-x", "channel_occupied private-y",
			"client_event private-x kept", "channel_occupied private-new", "client_event private-x also")
	})
}

// What was delivered and could not be recorded comes again, with the same ids.
func TestAtLeastOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		s := &shaky{}
		w.faulty = s
		w.ends["one"].answer = func(int, *http.Request) *http.Response { s.set(true); return status(200) }
		stop := w.run()
		w.happens("channel_occupied news")
		pass(10 * time.Second)
		stop()
		s.set(false)
		w.faulty = nil
		defer w.run()()
		pass(time.Second)
		all := w.ends["one"].requests()
		if len(all) != 2 || !slices.Equal(all[0].events(t), all[1].events(t)) || all[0].body != all[1].body {
			t.Errorf("%+v", all)
		}
	})
}

// A stop waits for the request under way, Hurry does not.
func TestStop(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		inWorld(t, func(w *world) {
			w.ends["one"].answer = func(_ int, r *http.Request) *http.Response {
				select {
				case <-time.After(3 * time.Second):
					return status(200)
				case <-r.Context().Done():
					return nil
				}
			}
			stop := w.run()
			w.happens("channel_occupied news")
			pass(time.Second)
			if hurry {
				time.AfterFunc(time.Second/2, w.engine.Hurry)
			}
			begun := time.Now()
			stop()
			took := time.Since(begun)
			if text := w.log.String(); text != "" {
				t.Errorf("the endpoint is blamed for our stop: %s", text)
			}
			w.ends["one"] = &endpoint{}
			defer w.run()()
			pass(time.Second)
			if again := len(w.ends["one"].requests()) > 0; again != hurry || hurry != (took < time.Second) {
				t.Errorf("hurry %v: stopped after %s, sent again: %v", hurry, took, again)
			}
		})
	}
}
