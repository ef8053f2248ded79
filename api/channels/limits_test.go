package channels

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func TestUserInfoOfAnApp(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{}, diaphone.Limits{UserInfo: 50})
	for bytes, want := range map[int]string{50: "pusher_internal:subscription_succeeded", 51: "pusher:error"} {
		v := h.join()
		v.ask("presence-x", `{"user_id":"1","user_info":"`+strings.Repeat("x", bytes-2)+`"}`)
		if f := v.hear(); f.Event != want {
			t.Errorf("%d bytes: %s %s", bytes, f.Event, f.Data)
		}
	}
}

// Who floods is sent away for a while, with what he has said until then; nobody
// else, in his app or another, hears of it.
func TestAFloodOfMessages(t *testing.T) {
	h := openAt(t, "",
		diaphone.App{ID: "1", Keys: testApps[0].Keys, Limits: diaphone.Limits{Messages: 2, Channels: 3}},
		diaphone.App{ID: "2", Keys: testApps[1].Keys})
	neighbour, other := h.join(), h.joinAs("/app/key2")
	v := h.join()
	const most = 200 // even a machine that halts for seconds has had enough then
	go func() {
		for range most {
			_ = v.conn.SetWriteDeadline(time.Now().Add(patience))
			if _, err := v.conn.Write([]byte("\x81\x80\x00\x00\x00\x00")); err != nil {
				return
			}
		}
	}()
	complaints := 0
	for {
		f := v.hear()
		if strings.Contains(string(f.Data), "Over 2 messages a second") {
			break
		}
		complaints++ // an empty message is no JSON
	}
	v.expectClose(codeTryElsewhere)
	if complaints < 5 || complaints == most {
		t.Errorf("sent away after %d messages", complaints)
	}
	neighbour.expectNothing()
	other.expectNothing()
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &client{app: &diaphone.App{Limits: diaphone.Limits{ClientEvents: 10, Messages: 5, Channels: 20}}}
		for n := range 10 {
			if !c.mayEmit(time.Now()) {
				t.Errorf("client event %d was refused", n+1)
			}
		}
		if c.mayEmit(time.Now()) {
			t.Error("the eleventh at once was taken")
		}
		for n := range 25 {
			if !c.mayTalk(time.Now()) {
				t.Errorf("message %d was refused: a client that comes back to 20 channels", n+1)
			}
		}
		if c.mayTalk(time.Now()) {
			t.Error("the 26th at once was taken")
		}
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // of the bubble
		if !c.mayEmit(time.Now()) || c.mayEmit(time.Now()) || c.mayTalk(time.Now()) {
			t.Error("a tenth of a second has room for one client event, and for no message")
		}
	})
}

// An app that publishes too much is refused, and no other.
func TestPublishingOverTheRate(t *testing.T) {
	h := openAt(t, "",
		diaphone.App{ID: "1", Keys: testApps[0].Keys, Limits: diaphone.Limits{Publishes: 1}},
		diaphone.App{ID: "2", Keys: testApps[1].Keys})
	v := h.join()
	v.subscribe("a")
	var events []string
	for i := range maxBatch {
		events = append(events, fmt.Sprintf(`{"name":"e","data":"%d","channel":"a"}`, i))
	}
	batch := request{path: "/apps/1/batch_events", body: `{"batch":[` + strings.Join(events, ",") + `]}`}
	if status, text := h.do(batch); status != http.StatusOK {
		t.Fatalf("a full batch does not fit: %d %s", status, text)
	}
	// Of the next one nothing goes out, though a second has room for one.
	if status, text := h.do(batch); status != http.StatusForbidden || !strings.Contains(text, "more than it may") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := h.do(request{path: "/apps/2/events", body: event, key: "key2", secret: "secret2"}); status != http.StatusOK {
		t.Errorf("another app: %d %s", status, text)
	}
	if status, _ := h.do(request{method: http.MethodGet, path: "/apps/1/channels"}); status != http.StatusOK {
		t.Errorf("a question: %d", status)
	}
	for i := range maxBatch {
		v.expect("e", "a", fmt.Sprint(i))
	}
	v.expectNothing()
}
