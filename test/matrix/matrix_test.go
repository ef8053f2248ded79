// Package matrix proves docs/live-or-phone.md: whoever is live gets the event, and
// exactly those phones a push whose users are not, and in time. A built gateway,
// unmodified clients in Node and Chromium, simulated phones.
package matrix

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// All situations at a time, on however few cores: they mostly wait.
	_ = flag.Set("test.parallel", strconv.Itoa(len(situations)+2))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		harness.Clean()
		os.Exit(code)
	}))
}

func TestLiveOrPhone(t *testing.T) {
	// Looked at here, so that go test knows what its cached result depends on.
	for _, path := range []string{"../node_modules/.package-lock.json", "clients", "../conformance/clients"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal("the npm packages are not installed: run make deps")
		}
		f.Close()
	}
	w := harness.NewWorld(t, nil)
	node, chromium := newHost(t, "node.mjs"), newHost(t, "chromium.mjs")
	found := newFindings()
	t.Run("in", func(t *testing.T) {
		for i, s := range situations {
			found.prepare.Add(1)
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				c := &scene{situation: &s, t: t, world: w.For(t), node: node, chromium: chromium, name: fmt.Sprint(i)}
				c.play(found)
			})
		}
	})
	t.Logf("the event, the push, and how long after the message the phone has it:\n%s", found.table())
}

// findings are the rows of the table.
type findings struct {
	prepare sync.WaitGroup // all begin when all are prepared, so that no time is that of a busy machine
	mu      sync.Mutex
	rows    map[string]string
}

func newFindings() *findings { return &findings{rows: map[string]string{}} }

func (f *findings) add(name, row string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[name] = row
}

func (f *findings) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range situations {
		fmt.Fprintf(w, "%s\t%s\n", s.name, f.rows[s.name])
	}
	_ = w.Flush() // a Builder never fails
	return text.String()
}

// scene is a situation that is being played.
type scene struct {
	*situation
	t              *testing.T
	world          *harness.World
	node, chromium *host
	name           string // in the names of all that belongs to it
	peers          []*peer
}

func (c *scene) user() string { return "user-" + c.name }

func (c *scene) room() diaphone.ChannelName {
	prefix := c.channel
	if prefix == "" {
		prefix = "presence-"
	}
	return diaphone.ChannelName(prefix + c.name)
}

func (c *scene) device(i int) diaphone.DeviceID {
	return diaphone.DeviceID(fmt.Sprintf("phone-%s-%d", c.name, i))
}

// play brings the situation about, sends the message, and sees what comes of it.
func (c *scene) play(found *findings) {
	func() {
		defer found.prepare.Done()
		c.prepare()
	}()
	found.prepare.Wait()
	c.meetFates()
	began := time.Now()
	id := c.publish()
	c.goOn(id)
	c.world.Await(id, patience)
	pushes := c.look(id, began)
	row := []string{c.listen()}
	for i, d := range c.allDevices() {
		got := pushes[c.device(i)]
		if fault := judge(d.phone, c.wait(), got); fault != "" {
			c.t.Fatalf("device %d: %s", i, fault)
		}
		for _, v := range others(d.phone) { // the negative control
			if judge(v, c.wait(), got) == "" {
				c.t.Errorf("device %d: the judge takes %q for %q", i, d.phone, v)
			}
		}
		if got.shown > 0 {
			row = append(row, fmt.Sprintf("%s (%d ms)", d.phone, got.after.Milliseconds()))
		} else {
			row = append(row, string(d.phone))
		}
	}
	found.add(c.situation.name, strings.Join(row, "\t"))
}

// prepare registers the phones and connects the clients.
func (c *scene) prepare() {
	c.t.Helper()
	for i, d := range c.allDevices() {
		c.register(i, d)
	}
	for _, s := range c.sockets {
		p, err := c.connect(s)
		if err != nil {
			c.t.Fatal(err)
		}
		c.peers = append(c.peers, p)
	}
	for _, p := range c.peers {
		p.ready(c.t)
	}
}

// register has half of the phones with either vendor.
func (c *scene) register(i int, d device) {
	c.t.Helper()
	platform, kind := diaphone.Android, diaphone.TokenFCM
	if n, _ := strconv.Atoi(c.name); n%2 == 1 {
		platform, kind = diaphone.IOS, diaphone.TokenAPNs
	}
	var added struct{ Data []harness.Phone }
	c.world.SimCall(http.MethodPost, "/sim/devices", []harness.Phone{{Name: string(c.device(i)), Platform: string(platform)}}, &added)
	n := wire.NewDevice{Platform: platform, UserID: diaphone.UserID(c.user()), Channels: []diaphone.ChannelName{c.room()},
		Tokens: []wire.NewToken{{Kind: kind, Value: added.Data[0].Token}}}
	if d.nobodys {
		n.UserID = ""
	}
	if _, err := c.world.Client.PutDevice(c.t.Context(), c.device(i), n); err != nil {
		c.t.Fatal(err)
	}
}

// connect opens a client of the user's. What is suspended or killed has a process of
// its own.
func (c *scene) connect(s socket) (*peer, error) {
	c.t.Helper()
	gateway, err := url.Parse(c.world.URL)
	if err != nil {
		return nil, err
	}
	home, at := c.node, gateway.Port()
	var relay *harness.Relay
	switch {
	case s.tab != "":
		home = c.chromium
	case s.fate == suspended || s.fate == dozing || s.fate == killed:
		home = newHost(c.t, "node.mjs")
	case s.fate == halfOpen || s.fate == cut:
		relay = harness.NewRelay(c.t, net.JoinHostPort("127.0.0.1", at))
		at = relay.Port()
	}
	how := spec{Transport: s.transport, Visibility: s.tab, Receipts: s.receipts}
	if how.Transport == "" {
		how.Transport = "ws"
	}
	if how.Port, err = strconv.Atoi(at); err != nil {
		return nil, err
	}
	if !c.toUser {
		how.Channel = string(c.room())
	}
	if s.elsewhere {
		how.Channel += "-elsewhere"
	}
	if strings.HasPrefix(how.Channel, "presence-") {
		how.Member = c.user()
	}
	if s.signedIn {
		how.User = c.user()
	}
	return home.open(how, relay)
}

// meetFates has the clients meet theirs.
func (c *scene) meetFates() {
	c.t.Helper()
	for i, p := range c.peers {
		switch c.sockets[i].fate {
		case suspended, dozing:
			p.host.suspend(c.t)
		case halfOpen:
			p.relay.Freeze()
		case cut:
			p.relay.CutBehind(eventName)
		case killed:
			p.host.signal(syscall.SIGKILL)
		case lives:
		}
	}
}

// goOn wakes those who doze, once the phone waits for the proof.
func (c *scene) goOn(id diaphone.MessageID) {
	c.t.Helper()
	for i, p := range c.peers {
		if c.sockets[i].fate == dozing {
			c.waits(id)
			p.host.signal(syscall.SIGCONT)
		}
	}
}

// waits asserts that the push waits for the proof.
func (c *scene) waits(id diaphone.MessageID) {
	c.t.Helper()
	if m, err := c.world.Client.Message(c.t.Context(), id); err != nil || m.Counts.Pending != 1 {
		c.t.Fatalf("counts %+v, %v: want it to wait", m.Counts, err)
	}
}

func (c *scene) publish() diaphone.MessageID {
	c.t.Helper()
	m := wire.NewMessage{When: c.when, Event: &wire.Event{Name: eventName, Data: []byte(`{}`)},
		Notification: &diaphone.Notification{Title: "Ben", Body: "are you there?"}}
	if c.toUser {
		m.To.Users = []diaphone.UserID{diaphone.UserID(c.user())}
	} else {
		m.To.Channels = []diaphone.ChannelName{c.room()}
	}
	if c.confirm != (wire.Confirm{}) {
		m.Confirm = &c.confirm
	}
	if !c.batch {
		p, err := c.world.Client.Publish(c.t.Context(), m, "")
		if err != nil {
			c.t.Fatal(err)
		}
		return p.ID
	}
	results, err := c.world.Client.PublishBatch(c.t.Context(), []wire.BatchMessage{{NewMessage: m}}, "")
	if err != nil || results[0].Err != nil {
		c.t.Fatal(err, results)
	}
	return results[0].ID
}

// look tells what became of the pushes of a finished message.
func (c *scene) look(id diaphone.MessageID, began time.Time) map[diaphone.DeviceID]pushed {
	c.t.Helper()
	pushes := map[diaphone.DeviceID]pushed{}
	for d, err := range c.world.Client.AllDeliveries(c.t.Context(), id) {
		if err != nil {
			c.t.Fatal(err)
		}
		p := pushed{state: d.State, reason: d.Reason}
		var inbox struct{ Data []harness.Shown }
		c.world.SimCall(http.MethodGet, "/sim/inbox?device="+string(d.DeviceID), nil, &inbox)
		for _, n := range inbox.Data {
			p.shown++
			p.after = n.ReceivedAt.Sub(began)
			if !strings.Contains(string(n.Payload), string(id)) {
				c.t.Errorf("the push does not carry the id of its message: %s", n.Payload)
			}
		}
		pushes[d.DeviceID] = p
	}
	return pushes
}

// listen sees whether the clients have heard the event.
func (c *scene) listen() (row string) {
	var words []string
	for i, p := range c.peers {
		want := c.sockets[i].event
		words = append(words, string(want))
		if want == late {
			if p.heard() {
				c.t.Error("a suspended client has heard the event")
			}
			p.host.signal(syscall.SIGCONT)
		}
		if want == lost && p.heard() {
			c.t.Error("a client that cannot have heard the event has")
		}
		if want != lost {
			harness.Until(c.t, patience, "the event is heard", p.heard)
		}
	}
	return strings.Join(words, ", ")
}
