package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/storage"
)

// follower is somebody who follows a message.
type follower struct {
	t     *testing.T
	lines *bufio.Scanner
	leave context.CancelFunc
}

func follow(t *testing.T, s *apitest.Server, id string) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/messages/"+id+"/progress", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apitest.Token1)
	resp, err := s.Raw.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%d, %s", resp.StatusCode, kind)
	}
	return &follower{t, bufio.NewScanner(resp.Body), cancel}
}

// next gives the next event; ok is false when the stream has ended.
func (f *follower) next() (p wire.Progress, ok bool) {
	f.t.Helper()
	for f.lines.Scan() {
		if text, found := strings.CutPrefix(f.lines.Text(), "data: "); found {
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				f.t.Fatalf("%s: %v", text, err)
			}
			return p, true
		}
	}
	return p, false
}

// watched publishes a message to one device that can be reached.
func watched(t *testing.T, s *apitest.Server) (id diaphone.MessageID, lane diaphone.Lane) {
	t.Helper()
	if a := s.Do(apitest.Token1, "PUT", "/v1/devices/d", `{"platform":"android","tokens":[{"kind":"fcm","value":"t"}]}`); a.Status/100 != 2 {
		t.Fatal(a.Status, string(a.Body))
	}
	a := s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"devices":["d"]},"notification":{"title":"x"}}`)
	var p wire.Published
	a.JSON(t, &p)
	lanes, err := s.Store.Lanes(t.Context())
	if err != nil || len(lanes) != 1 {
		t.Fatalf("%v, %v", lanes, err)
	}
	return p.ID, lanes[0]
}

func TestProgress(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	id, lane := watched(t, s)
	f, other := follow(t, s, string(id)), follow(t, s, string(id))
	begun := time.Now()
	p, ok := f.next()
	if !ok || p.ID != id || p.State != diaphone.Processing || p.Counts != (wire.Counts{Accepted: 1, Pending: 1}) {
		t.Fatalf("%+v, %v", p, ok)
	}
	if _, err := s.Store.Report(t.Context(), "1", "d", []diaphone.Receipt{{Message: id, Kind: diaphone.ReceiptDisplayed}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		s.Gateway.Changed("1", id)
	}
	if p, ok = f.next(); !ok || p.Receipts.Displayed != 1 || p.State != diaphone.Processing {
		t.Fatalf("%+v, %v", p, ok)
	}
	other.leave()
	settleAll(t, s, lane.Credential, storage.Result{State: diaphone.Delivered})
	s.Gateway.Changed("1", id)
	if p, ok = f.next(); !ok || p.State != diaphone.Finished || p.Counts.Delivered != 1 || p.FinishedAt.IsZero() {
		t.Fatalf("%+v, %v", p, ok)
	}
	if took := time.Since(begun); took < 500*time.Millisecond {
		t.Errorf("three events came within %s", took)
	}
	if p, ok = f.next(); ok {
		t.Errorf("after the end: %+v", p)
	}
	a := s.Do(apitest.Token1, "GET", "/v1/messages/"+string(id)+"/progress", "")
	if a.Status != 200 || strings.Count(string(a.Body), "data: ") != 1 || !strings.HasSuffix(string(a.Body), "}\n\n") {
		t.Errorf("of a finished message: %d %q", a.Status, a.Body)
	}
	for path, status := range map[string]int{"/v1/messages/msg_x/progress": 404, "/v1/messages/" + string(diaphone.NewMessageID(time.Now())) + "/progress": 404,
		"/v1/messages/" + string(id) + "/progress?x=1": 422} {
		if a := s.Do(apitest.Token1, "GET", path, ""); a.Status != status {
			t.Errorf("%s: %d, want %d", path, a.Status, status)
		}
	}
	if a := s.Do(apitest.Token2, "GET", "/v1/messages/"+string(id)+"/progress", ""); a.Status != 404 {
		t.Errorf("another app's message: %d", a.Status)
	}
}

// A stop ends the streams, and nothing of them stays.
func TestProgressEndsAtAStop(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	id, _ := watched(t, s)
	f := follow(t, s, string(id))
	f.next()
	s.Stop()
	if p, ok := f.next(); ok {
		t.Errorf("after the stop: %+v", p)
	}
}
