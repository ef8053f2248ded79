package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Bound is how long a test waits for what should come at once.
const Bound = 20 * time.Second

// Lab drives a running simulator through its control API. Starting one is the
// test's own business: only tests and commands may import the simulators.
type Lab struct {
	Addr string // host:port; TLS on it is APNs

	t    testing.TB
	http *http.Client
}

// NewLab drives the simulator at the address.
func NewLab(t testing.TB, addr string) *Lab {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &Lab{Addr: addr, t: t, http: &http.Client{Transport: transport, Timeout: Bound}}
}

// Fault is one line of PUT /sim/faults.
type Fault struct {
	Provider    string `json:"provider"`
	Status      int    `json:"status,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Body        string `json:"body,omitempty"`
	RetryAfter  int    `json:"retry_after,omitempty"`
	LatencyMS   int    `json:"latency_ms,omitempty"`
	GoAwayEvery int    `json:"goaway_every,omitempty"`
	Count       int64  `json:"count,omitempty"`
}

// Faults replaces the plan of what goes wrong.
func (l *Lab) Faults(plan ...Fault) {
	l.t.Helper()
	l.call(http.MethodPut, "/sim/faults", append([]Fault{}, plan...), nil) // [], not null, for none
}

// Hit waits until a fault of the present plan has been met: an earlier sign, such
// as a request that has arrived, does not say that the plan may be changed.
func (l *Lab) Hit() {
	l.t.Helper()
	for until := time.Now().Add(Bound); time.Now().Before(until); {
		var plan struct{ Data []struct{ Hits int } }
		l.call(http.MethodGet, "/sim/faults", nil, &plan)
		for _, f := range plan.Data {
			if f.Hits > 0 {
				return
			}
		}
	}
	l.t.Fatal("no request has met a fault of the plan")
}

// Device adds a phone, ios or android, and gives its token.
func (l *Lab) Device(name, platform string) string {
	l.t.Helper()
	var d struct{ Token string }
	l.call(http.MethodPost, "/sim/devices", map[string]string{"name": name, "platform": platform}, &d)
	return d.Token
}

// Move changes the state of a phone: online, offline, uninstalled.
func (l *Lab) Move(name, state string) {
	l.t.Helper()
	l.call(http.MethodPatch, "/sim/devices/"+name, map[string]string{"state": state}, nil)
}

// Received is what a phone has received.
type Received struct {
	Title, Body string
	Headers     map[string]string
	Payload     json.RawMessage
}

// Inbox gives what the phone received, newest first.
func (l *Lab) Inbox(device string) []Received {
	l.t.Helper()
	var page struct{ Data []Received }
	l.call(http.MethodGet, "/sim/inbox?limit=1000&device="+device, nil, &page)
	return page.Data
}

// Stats is what the simulator has counted of one vendor.
type Stats struct {
	Requests, Accepted, Refused, Connections int
	ByReason                                 map[string]int `json:"by_reason"`
}

// Stats gives the counts of a vendor.
func (l *Lab) Stats(vendor string) Stats {
	l.t.Helper()
	all := map[string]Stats{}
	l.call(http.MethodGet, "/sim/stats", nil, &all)
	return all[vendor]
}

func (l *Lab) call(method, path string, in, out any) {
	l.t.Helper()
	var body bytes.Buffer
	if in != nil {
		must(l.t, json.NewEncoder(&body).Encode(in))
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+l.Addr+path, &body)
	must(l.t, err)
	res, err := l.http.Do(r)
	must(l.t, err)
	defer res.Body.Close() //nolint:errcheck // a test's reading
	if res.StatusCode/100 != 2 {
		text := make([]byte, 500)
		n, _ := res.Body.Read(text)
		l.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text[:n])
	}
	if out != nil {
		must(l.t, json.NewDecoder(res.Body).Decode(out))
	}
}

// Message makes an accepted message with the notification.
func Message(n diaphone.Notification) *diaphone.Message {
	now := time.Now()
	m := &diaphone.Message{
		ID: diaphone.NewMessageID(now), App: "1", Notification: &n,
		To: diaphone.Audience{Devices: []diaphone.DeviceID{"phone"}}, When: diaphone.Always, AcceptedAt: now,
	}
	m.Expires = n.Deadline(now)
	return m
}

// Hello is an ordinary message.
func Hello() *diaphone.Message {
	return Message(diaphone.Notification{Title: "Ana", Body: "hello", Data: map[string]string{"chat": "7"}})
}

// Delivery owes the message to a device with the token.
func Delivery(m *diaphone.Message, kind diaphone.TokenKind, token string) *diaphone.Delivery {
	device := diaphone.DeviceID("device-" + diaphone.Secret(token).Fingerprint())
	return &diaphone.Delivery{
		ID: diaphone.DeliveryID(m.ID, device), Message: m, Device: device,
		Token: diaphone.Token{Kind: kind, Value: diaphone.Secret(token), RegisteredAt: m.AcceptedAt},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
