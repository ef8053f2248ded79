package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
)

func TestWatch(t *testing.T) {
	s, _ := start(t)
	c := open(t, s.URL, client.WithHTTPClient(s.Raw)) // the judge would wait for the end
	ctx := t.Context()
	p, err := c.Publish(ctx, wire.NewMessage{To: wire.Audience{Devices: []diaphone.DeviceID{"nobody"}}, Notification: &diaphone.Notification{Title: "x"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	var states []diaphone.MessageState
	for m, err := range c.Watch(ctx, p.ID) {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, m.State)
	}
	if len(states) != 1 || states[0] != diaphone.Finished {
		t.Errorf("%q", states)
	}
	later := wire.NewMessage{To: wire.Audience{Devices: []diaphone.DeviceID{"nobody"}}, Notification: &diaphone.Notification{Title: "x"}, SendAt: wire.At(time.Now().Add(time.Hour))}
	if p, err = c.Publish(ctx, later, ""); err != nil {
		t.Fatal(err)
	}
	for m, err := range c.Watch(ctx, p.ID) { // who has had enough
		if err != nil || m.State != diaphone.Scheduled {
			t.Fatalf("%+v, %v", m, err)
		}
		break
	}
	states = nil
	for m, err := range c.Watch(ctx, p.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if states = append(states, m.State); len(states) == 1 {
			if _, err := c.Cancel(ctx, p.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(states) != 2 || states[0] != diaphone.Scheduled || states[1] != diaphone.Finished {
		t.Errorf("%q", states)
	}
	if p, err = c.Publish(ctx, later, ""); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, last = range c.Watch(ctx, p.ID) {
		if last == nil {
			s.Stop()
		}
	}
	if last == nil {
		t.Error("a stream that the gateway ends looks like the end of the message")
	}
	var problem *client.Problem
	for _, err := range c.Watch(ctx, "msg_x") {
		if !errors.As(err, &problem) || problem.Status != 404 {
			t.Errorf("of no message: %v", err)
		}
	}
}

// What is no stream of ours is an error, and does not last for ever.
func TestWatchForeignAnswers(t *testing.T) {
	for body, status := range map[string]int{"data: {\n\n": 200, ": nothing\n\n": 200, "": 502} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		c, err := client.New(s.URL, apitest.Token1, client.WithHTTPClient(s.Client()))
		if err != nil {
			t.Fatal(err)
		}
		var last error
		for _, last = range c.Watch(t.Context(), "msg_x") {
		}
		if last == nil {
			t.Errorf("%q is taken", body)
		}
		s.Close()
	}
}
