package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
	"github.com/diaphone-dev/diaphone/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*apitest.Server, *client.Client) {
	t.Helper()
	s := apitest.Start(t, apitest.Options{})
	return s, open(t, s.URL, client.WithHTTPClient(s.HTTP))
}

func open(t *testing.T, url string, o ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(url, apitest.Token1, o...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// within bounds what should come at once.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestDevices(t *testing.T) {
	_, c := start(t)
	ctx := within(t, time.Minute)
	for _, id := range []diaphone.DeviceID{"a~b:c@d,e;f=g", "plain"} {
		d, err := c.PutDevice(ctx, id, wire.NewDevice{
			Platform: diaphone.IOS, UserID: "ana & ben", Tags: map[string]string{"v": "1"},
			Tokens: []wire.NewToken{{Kind: diaphone.TokenAPNs, Value: "ab" + fmt.Sprint(len(id)%10) + "0", Environment: diaphone.Sandbox}},
		})
		if err != nil || d.ID != id || len(d.Tokens) != 1 {
			t.Fatalf("%+v %v", d, err)
		}
		for _, channel := range []diaphone.ChannelName{"news", "#server-to-user-ana", "a,b;c=d@e.f"} {
			if err := c.Subscribe(ctx, id, channel); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Unsubscribe(ctx, id, "news"); err != nil {
			t.Fatal(err)
		}
		if d, err = c.Device(ctx, id); err != nil || len(d.Channels) != 2 || d.UserID != "ana & ben" {
			t.Errorf("%+v %v", d, err)
		}
	}
	secret, err := c.NewDeviceSecret(ctx, "plain")
	if _, id, ok := diaphone.ParseDeviceSecret(secret.Reveal()); err != nil || !ok || id != "plain" {
		t.Errorf("%s, %v", id, err)
	}
	page, err := c.Devices(ctx, "ana & ben", client.PageOptions{Limit: 1})
	if err != nil || len(page.Data) != 1 || page.NextCursor == "" {
		t.Fatalf("%+v %v", page, err)
	}
	if page, err = c.Devices(ctx, "ana & ben", client.PageOptions{Cursor: page.NextCursor}); err != nil || len(page.Data) != 1 || page.NextCursor != "" {
		t.Errorf("%+v %v", page, err)
	}
	if err := c.DeleteDevice(ctx, "plain"); err != nil {
		t.Fatal(err)
	}
	var left []diaphone.DeviceID
	for d, err := range c.AllDevices(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, d.ID)
	}
	if len(left) != 1 || left[0] != "a~b:c@d,e;f=g" {
		t.Errorf("left: %v", left)
	}
	var p *client.Problem
	if err := c.DeleteDevice(ctx, "plain"); !errors.As(err, &p) || p.Status != 404 || p.Code != "not_found" || p.RequestID == "" {
		t.Errorf("%v", err)
	}
}

func TestPublishAndWait(t *testing.T) {
	s, c := start(t)
	ctx := within(t, time.Minute)
	ttl, zero := 60, 0
	for _, id := range []diaphone.DeviceID{"one", "two"} {
		token := []wire.NewToken{{Kind: diaphone.TokenFCM, Value: "token-" + string(id)}}
		if _, err := c.PutDevice(ctx, id, wire.NewDevice{Platform: diaphone.Android, UserID: "ana", Tokens: token}); err != nil {
			t.Fatal(err)
		}
	}
	m := wire.NewMessage{
		To:    wire.Audience{Users: []diaphone.UserID{"ana"}, Channels: []diaphone.ChannelName{"news"}, Devices: []diaphone.DeviceID{"one"}},
		When:  diaphone.Away,
		Event: &wire.Event{Name: "e", Data: json.RawMessage(`{}`), ExceptSocket: "1.2"},
		Notification: &diaphone.Notification{
			Title: "<&> ", Body: "b", Data: map[string]string{"k": "v"}, Image: "https://x.test/i.png", CollapseID: "c", Priority: diaphone.PriorityNormal,
			TTL: &ttl, Badge: &zero, Sound: "default", FCM: json.RawMessage(`{"android":{}}`),
			APNs: &diaphone.APNsOverride{Headers: map[string]string{"apns-push-type": "alert"}, APS: json.RawMessage(`{"x":1}`), Data: json.RawMessage(`{"y":2}`)},
		},
	}
	first, err := c.Publish(ctx, m, "key")
	if err != nil || first.Replayed || !first.Stored || first.Counts.Accepted != 2 {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := c.Publish(ctx, m, "key")
	if err != nil || !again.Replayed || again.ID != first.ID {
		t.Fatalf("%+v %v", again, err)
	}
	if f := s.Fanned(); len(f) != 1 || f[0].Event.Data != "{}" {
		t.Errorf("fanned %+v", f)
	}

	// While deliveries are pending, Wait goes on until its time is up.
	seen, err := waitFor(t, s, 3, first.ID)
	if !errors.Is(err, context.Canceled) || seen.Counts.Pending != 2 {
		t.Errorf("%+v %v", seen, err)
	}
	waited := make(chan error, 1)
	go func() {
		m, err := c.Wait(ctx, first.ID)
		if err == nil && m.Counts.Delivered != 2 {
			err = fmt.Errorf("finished with %+v", m.Counts)
		}
		waited <- err
	}()
	deliver(t, s)
	if err := <-waited; err != nil {
		t.Error(err)
	}
	n := 0
	for d, err := range c.AllDeliveries(ctx, first.ID) {
		if err != nil || d.State != diaphone.Delivered || len(d.Attempts) != 1 {
			t.Errorf("%+v %v", d, err)
		}
		n++
	}
	if page, err := c.Deliveries(ctx, first.ID, client.PageOptions{Limit: 1}); err != nil || len(page.Data) != 1 || page.NextCursor == "" || n != 2 {
		t.Errorf("%d deliveries; %+v %v", n, page, err)
	}
}

// waitFor is a Wait that somebody breaks off after some answers.
func waitFor(t *testing.T, s *apitest.Server, answers int, id diaphone.MessageID) (wire.Message, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := open(t, s.URL, client.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := s.HTTP.Transport.RoundTrip(r) // the Judge has read the whole body
		if answers--; answers == 0 {
			cancel()
		}
		return resp, err
	})}))
	return c.Wait(ctx, id)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// deliver plays the asleep side.
func deliver(t *testing.T, s *apitest.Server) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	batches, _, err := s.Store.Claim(ctx, storage.Claim{Lane: diaphone.Lane{App: "1", Credential: "google"}, Now: now, N: 10, Lease: time.Minute})
	if err != nil || len(batches) != 1 {
		t.Fatalf("%v %v", batches, err)
	}
	var results []storage.Result
	for _, i := range batches[0].Items {
		results = append(results, storage.Result{Index: i.Index, State: diaphone.Delivered, Attempt: &diaphone.Attempt{At: now, Verdict: diaphone.Accepted, Status: 200}, Tries: 1})
	}
	if _, err := s.Store.Settle(ctx, []storage.Settlement{{Batch: &batches[0], Results: results}}, now); err != nil {
		t.Fatal(err)
	}
}

func TestProblems(t *testing.T) {
	s, c := start(t)
	ctx := within(t, time.Minute)
	_, err := c.Publish(ctx, wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"a b"}}, When: "never"}, "")
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != 422 || p.Code != "invalid" || len(p.Errors) != 3 {
		t.Fatalf("%+v", err)
	}
	for _, want := range []string{"422", "/to/channels/0", "/when", p.RequestID} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	_, err = c.Publish(ctx, wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"a b"}}, Event: &wire.Event{Name: "e"}}, "")
	if !errors.As(err, &p) || len(p.Errors) != 1 || strings.Count(err.Error(), p.Detail) != 1 || !strings.Contains(err.Error(), "(/to/channels/0)") {
		t.Errorf("a single fault: %v", err)
	}
	if _, err := c.Message(ctx, "msg_no"); !errors.As(err, &p) || p.Code != "not_found" {
		t.Errorf("%v", err)
	}
	for d, err := range c.AllDeliveries(ctx, "msg_no") {
		if err == nil {
			t.Errorf("%+v", d)
		}
	}
	stranger, err := client.New(s.URL, "canary-of-a-token", client.WithHTTPClient(s.HTTP), client.WithUserAgent("test/1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Devices(ctx, "", client.PageOptions{}); !errors.As(err, &p) || p.Code != "unauthorized" || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", stranger, stranger, stranger); strings.Contains(text, "canary") {
		t.Errorf("the client prints its token: %s", text)
	}

	// A gateway that says "not now" is asked again, and the wait tells why it was long.
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = waitFor(t, s, 1, diaphone.NewMessageID(time.Now()))
	if !errors.Is(err, context.Canceled) || !errors.As(err, &p) || p.RetryAfter != time.Second || p.Status != 503 {
		t.Errorf("%v", err)
	}
}

// Between us and the gateway there may be others.
func TestForeignAnswers(t *testing.T) {
	var seen []string
	answer := func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Host+r.URL.Path)
		switch r.URL.Path {
		case "/prefix/v1/devices/html":
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<html>bad gateway</html>"))
		case "/prefix/v1/devices/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/prefix/v1/devices/garbage":
			_, _ = w.Write([]byte("{"))
		case "/prefix/v1/devices/broken":
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("{"))
		}
	}
	foreign := httptest.NewServer(http.HandlerFunc(answer))
	defer foreign.Close()
	c := open(t, foreign.URL+"/prefix/")
	ctx := within(t, time.Minute)
	for id, want := range map[diaphone.DeviceID]string{"html": "502 Bad Gateway", "redirect": "307 Temporary Redirect", "broken": "503 Service Unavailable"} {
		_, err := c.Device(ctx, id)
		var p *client.Problem
		if !errors.As(err, &p) || err.Error() != want || (p.RetryAfter == 7*time.Second) != (id == "broken") {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := c.Device(ctx, "garbage"); err == nil {
		t.Error("took garbage for a device")
	}
	for _, at := range seen {
		if strings.Contains(at, "elsewhere") {
			t.Error("followed a redirect with the token in hand")
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Device(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := c.Publish(ctx, wire.NewMessage{Event: &wire.Event{Name: "e", Data: json.RawMessage(`{`)}}, ""); err == nil {
		t.Error("sent what is not JSON")
	}
	http.DefaultClient.CloseIdleConnections() //nolint:forbidigo // the client had none of its own
}

func TestNewWantsAnAddress(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:6001", "ftp://x", "http://", "http://ana:canary@x", "http://x?a=1", "http://x#a", "http://ana:canary@x:port", "::"} {
		c, err := client.New(url, "token")
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v %v", url, c, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:6001", "https://x.test/", "http://[::1]:6001/push/"} {
		if _, err := client.New(url, "token"); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestExplain(t *testing.T) {
	_, c := start(t)
	ctx := within(t, time.Minute)
	if _, err := c.PutDevice(ctx, "d:e@f", wire.NewDevice{Platform: diaphone.IOS, UserID: "ana & ben"}); err != nil {
		t.Fatal(err)
	}
	p, err := c.Publish(ctx, wire.NewMessage{To: wire.Audience{Users: []diaphone.UserID{"ana & ben"}}, Notification: &diaphone.Notification{Title: "x"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	ofUser, err := c.ExplainUser(ctx, p.ID, "ana & ben")
	if err != nil || ofUser.Because.Code != diaphone.ReasonNoToken || len(ofUser.Devices) != 1 || ofUser.Devices[0].DeviceID != "d:e@f" {
		t.Errorf("%+v, %v", ofUser, err)
	}
	ofDevice, err := c.ExplainDevice(ctx, p.ID, "d:e@f")
	if err != nil || ofDevice.Because != ofUser.Because {
		t.Errorf("%+v, %v", ofDevice, err)
	}
	if unknown, err := c.ExplainUser(ctx, "msg_06f3k9q2v8c7h0a1b2c3d4e5f6", "ana"); err != nil || unknown.Message != nil {
		t.Errorf("%+v, %v", unknown, err)
	}
}
