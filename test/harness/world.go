package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
)

// World is a gateway and the simulators it sends to, each a process.
type World struct {
	t       testing.TB
	setup   Setup
	dir     string
	listen  string
	Sim     *Process
	Gateway *Process
	SimURL  string
	URL     string
	Client  *client.Client
	Watch   *Watch // what the gateway must not tell, and what it has told
	http    *http.Client
}

// Phone is a simulated phone.
type Phone struct {
	Name     string `json:"name"`
	Platform string `json:"platform"`
	Token    string `json:"token,omitempty"`

	Subscription *wire.Subscription `json:"subscription,omitempty"` // a browser's, instead of a token
}

// Shown is one notification in the inbox of a simulated phone.
type Shown struct {
	Device     string            `json:"device"`
	Provider   string            `json:"provider"`
	Title      string            `json:"title"`
	Body       string            `json:"body"`
	Headers    map[string]string `json:"headers"`
	Payload    json.RawMessage   `json:"payload"`
	ReceivedAt time.Time         `json:"received_at"`
}

// Setup is what a world has of its own.
type Setup struct {
	Apps    func(apps string) string                      // changes the apps file that the simulators have written; nil leaves it
	Gateway func(dataDir string, args []string) *exec.Cmd // runs the gateway; nil: the built binary does
}

// NewWorld starts simulators, and a gateway against them. edit may change the
// apps file that the simulators have written; nil leaves it.
func NewWorld(t testing.TB, edit func(apps string) string) *World {
	t.Helper()
	return NewWorldWith(t, Setup{Apps: edit})
}

// NewWorldWith is NewWorld with more of its own.
func NewWorldWith(t testing.TB, s Setup) *World {
	t.Helper()
	w := NewSims(t)
	w.setup = s
	if s.Apps != nil {
		w.EditApps(s.Apps)
	}
	w.StartGateway()
	return w
}

// NewSims starts simulators only; StartGateway adds the gateway.
func NewSims(t testing.TB) *World {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	w := &World{t: t, dir: t.TempDir(), http: &http.Client{Timeout: time.Minute, Transport: transport}}
	t.Cleanup(transport.CloseIdleConnections)
	if _, speed := t.(*testing.B); !speed {
		w.Watch = newWatch(t)
		w.http.Transport = &watching{w.Watch, transport}
	}
	port := Ports(t, 3)
	w.listen = fmt.Sprintf("127.0.0.1:%d", port)
	w.URL = "http://" + w.listen
	w.SimURL = fmt.Sprintf("http://127.0.0.1:%d", port+1)
	var err error
	if w.Client, err = client.New(w.URL, "dp_dev", client.WithHTTPClient(w.http)); err != nil {
		t.Fatal(err)
	}
	w.Sim = Start(t, "sim", "--dir", w.path("sim"), "--port", fmt.Sprint(port+1))
	w.await(w.Sim, w.SimURL+"/sim/devices")
	return w
}

// EditApps changes the apps file, for the next start of the gateway.
func (w *World) EditApps(edit func(apps string) string) {
	w.t.Helper()
	apps, err := os.ReadFile(w.path("sim/apps.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path("sim/apps.yaml"), []byte(edit(string(apps))), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// For gives the world to a subtest, which then fails where the world does.
func (w *World) For(t testing.TB) *World {
	its := *w
	its.t = t
	return &its
}

// Limited is an edit for NewWorld: lines for the credential of a provider, such
// as "rate: 100".
func Limited(provider, line string) func(string) string {
	return func(apps string) string {
		first := map[string]string{"apns": "- key_file:", "fcm": "- service_account_file:"}[provider]
		return strings.Replace(apps, first, "- "+line+"\n        "+strings.TrimPrefix(first, "- "), 1)
	}
}

func (w *World) path(name string) string { return filepath.Join(w.dir, name) }

// HTTP is the client for requests that Client cannot make; they are watched too.
func (w *World) HTTP() *http.Client { return w.http }

// AppsFile is the path of the apps file.
func (w *World) AppsFile() string { return w.path("sim/apps.yaml") }

// DataDir is where the gateway keeps its data.
func (w *World) DataDir() string { return w.path("data") }

// StartGateway starts the gateway, again after a Kill, and waits until it is ready.
func (w *World) StartGateway() {
	w.t.Helper()
	w.LaunchGateway()
	w.AwaitGateway()
}

// AwaitGateway waits until the gateway is ready.
func (w *World) AwaitGateway() {
	w.t.Helper()
	w.await(w.Gateway, w.URL+"/readyz")
}

// LaunchGateway is StartGateway without the wait.
func (w *World) LaunchGateway() {
	w.t.Helper()
	args := []string{"serve", "--apps", w.path("sim/apps.yaml"), "--data-dir", w.DataDir(), "--listen", w.listen, "--drain-for", "200ms",
		"--egress-allow-cidr", "127.0.0.0/8", "--push-hosts", "127.0.0.1"}
	cmd := exec.Command(Binary(w.t), args...)
	if w.setup.Gateway != nil {
		cmd = w.setup.Gateway(w.DataDir(), args)
	}
	w.Gateway = serve(w.t, w.Watch, cmd)
}

// await waits until a process answers.
func (w *World) await(p *Process, url string) {
	w.t.Helper()
	Until(w.t, 20*time.Second, url+" answers", func() bool {
		if p.Ended() {
			w.t.Fatalf("the process ended:\n%s", p.Stderr())
		}
		resp, err := w.http.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// SimCall calls the simulators' control API.
func (w *World) SimCall(method, path string, in, out any) {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequest(method, w.SimURL+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		w.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

// AddPhones is NewPhones, and registers each with the gateway to listen to the channel.
func (w *World) AddPhones(n int, platform diaphone.Platform, prefix string, channel diaphone.ChannelName) {
	w.t.Helper()
	kind := map[diaphone.Platform]diaphone.TokenKind{
		diaphone.IOS: diaphone.TokenAPNs, diaphone.Android: diaphone.TokenFCM, diaphone.Web: diaphone.TokenWebPush,
	}[platform]
	w.NewPhones(n, platform, prefix, func(some []Phone) {
		w.Parallel(64, len(some), func(i int) error {
			p := some[i]
			_, err := w.Client.PutDevice(context.Background(), diaphone.DeviceID(p.Name), wire.NewDevice{
				Platform: platform, Tokens: []wire.NewToken{{Kind: kind, Value: p.Token, Subscription: p.Subscription}}, Channels: []diaphone.ChannelName{channel}})
			return err
		})
	})
}

// NewPhones adds n simulated phones of a platform, named PREFIX-0, PREFIX-1, …, and
// gives them, some at a time.
func (w *World) NewPhones(n int, platform diaphone.Platform, prefix string, give func(some []Phone)) {
	w.t.Helper()
	const portion = 1000 // of the control API's limit on a body
	for from := 0; from < n; from += portion {
		phones := make([]Phone, 0, portion)
		for i := from; i < min(n, from+portion); i++ {
			phones = append(phones, Phone{Name: fmt.Sprintf("%s-%d", prefix, i), Platform: string(platform)})
		}
		var added struct{ Data []Phone }
		w.SimCall(http.MethodPost, "/sim/devices", phones, &added)
		give(added.Data)
	}
}

// Parallel calls do for 0 to n-1 from so many goroutines.
func (w *World) Parallel(workers, n int, do func(i int) error) {
	w.t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// Inbox gives all that the phones have been sent.
func (w *World) Inbox() []Shown {
	w.t.Helper()
	var inbox struct{ Data []Shown }
	w.SimCall(http.MethodGet, "/sim/inbox?limit=200000", nil, &inbox)
	return inbox.Data
}

// Send publishes a notification to a channel.
func (w *World) Send(channel diaphone.ChannelName, body string) diaphone.MessageID {
	w.t.Helper()
	p, err := w.Client.Publish(context.Background(), wire.NewMessage{
		To:           wire.Audience{Channels: []diaphone.ChannelName{channel}},
		Notification: &diaphone.Notification{Body: body},
	}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return p.ID
}

// Await waits until the message is finished.
func (w *World) Await(id diaphone.MessageID, within time.Duration) wire.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	m, err := w.Client.Wait(ctx, id)
	if err != nil {
		w.t.Fatalf("message %s after %s: %v (%+v)\n%s", id, within, err, m.Counts, w.Gateway.Stderr())
	}
	return m
}
