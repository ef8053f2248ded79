package channels

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// enter signs in and takes the answer.
func (v *visitor) enter(userData string) {
	v.t.Helper()
	v.signIn(userData)
	if f := v.hear(); f.Event != "pusher:signin_success" {
		v.t.Fatalf("heard %+v", f)
	}
}

func TestWatchlist(t *testing.T) {
	h := open(t)
	ana, bob := h.join(), h.join()
	bob.enter(`{"id":"bob","watchlist":[]}`)
	bob.expectNothing()
	ana.enter(`{"id":"ana","watchlist":["eve","bob","eve","\"<ü>"]}`)
	const state = "pusher_internal:watchlist_events"
	ana.expect(state, "", `{"events":[{"name":"online","user_ids":["bob"]},{"name":"offline","user_ids":["\"<ü>","eve"]}]}`)
	eve := h.join()
	eve.enter(`{"id":"eve","watchlist":["ana"]}`)
	eve.expect(state, "", `{"events":[{"name":"online","user_ids":["ana"]}]}`)
	ana.expect(state, "", `{"events":[{"name":"online","user_ids":["eve"]}]}`)
	_ = eve.conn.Close()
	began := time.Now()
	ana.expect(state, "", `{"events":[{"name":"offline","user_ids":["eve"]}]}`)
	if took := time.Since(began); took < 2900*time.Millisecond {
		t.Errorf("offline after %v", took)
	}
}

// A list that is too long counts as far as it goes, and the sign-in holds.
func TestWatchlistOf101(t *testing.T) {
	h := open(t)
	ids := make([]string, 101)
	for i := range ids {
		ids[i] = fmt.Sprintf("u%d", i)
	}
	list := func(n int) string {
		text, _ := json.Marshal(map[string]any{"id": "ana", "watchlist": ids[:n]})
		return string(text)
	}
	full, over := h.join(), h.join()
	full.enter(list(100))
	full.hear()
	full.expectNothing()
	over.enter(list(101))
	if f := over.hear(); strings.Count(f.text(), `"u`) != 1+100 || strings.Contains(f.text(), `"u100"`) { // 1: user_ids
		t.Errorf("heard %s", f.text())
	}
	over.expectError(codeWatchlist, " u99")
	last := h.join()
	last.enter(`{"id":"u100"}`)
	over.expectNothing() // not watched
	last2 := h.join()
	last2.enter(`{"id":"u99"}`)
	over.expect("pusher_internal:watchlist_events", "", `{"events":[{"name":"online","user_ids":["u99"]}]}`)
}

func TestWatchlistOff(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{NoWatchlist: true}, diaphone.Limits{})
	v := h.join()
	v.enter(`{"id":"ana","watchlist":["bob"]}`)
	v.expectNothing()
}

func TestConnectionsThatNobodyVouchesFor(t *testing.T) {
	const within = 300 * time.Millisecond
	h := openFor(t, diaphone.ChannelSettings{AuthoriseWithin: within}, diaphone.Limits{})
	signed, member, public, refused := h.join(), h.join(), h.join(), h.join()
	signed.enter(`{"id":"ana"}`)
	member.subscribe("private-x")
	public.subscribe("news")
	refused.emit("pusher:subscribe", map[string]string{"channel": "private-x", "auth": "app-key:x"})
	refused.expectError(nil, "Invalid signature")
	refused.hear()
	for _, v := range []*visitor{public, refused} {
		v.expectError(codeUnauthorised, "in time")
		v.expectClose(codeUnauthorised)
	}
	signed.expectNothing()
	member.expectNothing()
}
