package sim_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone/sim"
)

func TestDevices(t *testing.T) {
	b := start(t, sim.Options{Topics: []string{"dev.diaphone.other"}})
	ana := b.add("ana", "ios")
	if len(ana.Token) != 64 || ana.State != "online" || ana.Environment != "production" || ana.Topic != "dev.diaphone.demo" {
		t.Errorf("got %+v", ana)
	}
	b.move("ana", "offline")
	if again := b.add("ana", "ios"); again.Token != ana.Token || again.State != "offline" {
		t.Errorf("the same again: %+v", again)
	}
	var several, all struct{ Data []device }
	b.ok(&several, "POST", "/sim/devices", `[{"name":"bob","platform":"android"},{"name":"ana","platform":"ios"},{"name":"bob","platform":"android"}]`)
	if len(several.Data) != 3 || several.Data[0].Token != several.Data[2].Token || !strings.Contains(several.Data[0].Token, ":APA91b") {
		t.Errorf("several: %+v", several)
	}
	b.ok(&all, "GET", "/sim/devices", "")
	if len(all.Data) != 2 || all.Data[0].Name != "ana" || all.Data[1].Name != "bob" {
		t.Errorf("all: %+v", all)
	}
	b.ok(nil, "DELETE", "/sim/devices/bob", "")
	b.ok(nil, "POST", "/sim/devices", `{"name":"bob","platform":"ios","topic":"dev.diaphone.other"}`)
}

func TestControlErrors(t *testing.T) {
	b := start(t, sim.Options{})
	b.add("ana", "ios")
	for _, test := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/sim/devices", `{"name":"ana","platform":"android"}`, 409, `another phone has this name: "ana" is ios (production, topic dev.diaphone.demo); choose another name or DELETE /sim/devices/{name} first`},
		{"POST", "/sim/devices", `[{"name":"x","platform":"ios"},{"name":"x","platform":"android"}]`, 409, `another phone has this name: "x" is ios (production, topic dev.diaphone.demo); choose another name or DELETE /sim/devices/{name} first`},
		{"POST", "/sim/devices", `{"name":"x","platform":"windows"}`, 400, `platform: must be "ios", "android" or "web", not "windows"`},
		{"POST", "/sim/devices", `{"name":"","platform":"ios"}`, 400, `name: must be 1 to 100 letters, digits or . _ - @ :, not ""`},
		{"POST", "/sim/devices", `{"name":"..","platform":"ios"}`, 400, `name: must be 1 to 100 letters, digits or . _ - @ :, not ".."`},
		{"POST", "/sim/devices", `{"name":"x","platform":"ios","environment":"test"}`, 400, `environment: must be "production" or "sandbox", not "test"`},
		{"POST", "/sim/devices", `{"name":"x","platform":"android","topic":"t"}`, 400, `environment, topic and vapid_key: "x" is an Android phone, which has none; leave them out`},
		{"POST", "/sim/devices", `{"name":"x","platform":"android","project_id":"p"}`, 400, `project_id: must be one of diaphone-sim, not "p"`},
		{"POST", "/sim/devices", `{"name":5,"platform":"ios"}`, 400, `name: must be a string, not number`},
		{"POST", "/sim/devices", `{"nme":"x"}`, 400, `nme: there is no such field; use name, platform, environment, topic, project_id, vapid_key`},
		{"PATCH", "/sim/devices/ana", `{"state":"asleep"}`, 400, `state: must be "online", "offline" or "uninstalled", not "asleep"`},
		{"PATCH", "/sim/devices/bob", `{"state":"online"}`, 404, `no such phone: "bob"; GET /sim/devices lists them`},
		{"DELETE", "/sim/devices/bob", ``, 404, `no such phone: "bob"; GET /sim/devices lists them`},
		{"GET", "/sim/inbox?limit=0", ``, 400, `limit: must be a whole number of 1 or more, not "0"`},
		{"GET", "/sim/inbox?limit=x", ``, 400, `limit: must be a whole number of 1 or more, not "x"`},
		{"GET", "/sim/nothing", ``, 404, `no such path; the control API has /sim/inbox, /sim/devices, /sim/faults and /sim/stats`},
		{"POST", "/sim/stats", ``, 405, `POST is not possible here; use DELETE, GET, HEAD`},
		{"GET", "/", ``, 404, `no such path; the control API is under /sim/: inbox, devices, faults, stats`},
		{"POST", "/3/device/x", ``, 404, `no such path; APNs speaks HTTP/2 over TLS only: connect to this port with TLS and ALPN h2`},
	} {
		status, got := b.do(test.method, test.path, test.body)
		if want := fmt.Sprintf(`{"error":%q}`+"\n", test.text); status != test.status || got != want {
			t.Errorf("%s %s %s\ngot  %d %swant %d %s", test.method, test.path, test.body, status, got, test.status, want)
		}
	}
	var all struct{ Data []device }
	b.ok(&all, "GET", "/sim/devices", "")
	if len(all.Data) != 1 {
		t.Errorf("refused phones were added: %+v", all)
	}
}

// TestInbox: newest first, limited, by device, and the oldest make room.
func TestInbox(t *testing.T) {
	b := start(t, sim.Options{InboxEntries: 100})
	ana, bob := b.add("ana", "ios"), b.add("bob", "ios")
	before := time.Now()
	for i := range 120 {
		b.push(ana.Token, alert(fmt.Sprint(i)))
	}
	b.push(bob.Token, alert("for bob"))
	if got := b.inbox("ana"); len(got) != 99 || got[0].Body != "119" || got[98].Body != "21" ||
		got[0].Received.Before(before) || got[0].Received.After(time.Now()) {
		t.Errorf("%d entries of ana", len(got))
	}
	var two struct{ Data []entry }
	b.ok(&two, "GET", "/sim/inbox?limit=2", "")
	if len(two.Data) != 2 || two.Data[0].Body != "for bob" || two.Data[1].Body != "119" {
		t.Errorf("two: %+v", two)
	}
	b.ok(nil, "DELETE", "/sim/inbox?device=bob", "")
	if ana, bob := len(b.inbox("ana")), len(b.inbox("bob")); ana != 99 || bob != 0 {
		t.Errorf("after DELETE ana has %d and bob %d", ana, bob)
	}
	b.ok(nil, "DELETE", "/sim/inbox", "")
	if got := len(b.inbox("")); got != 0 {
		t.Errorf("after DELETE there are %d", got)
	}
}

// TestInboxBytes: payloads count too.
func TestInboxBytes(t *testing.T) {
	b := start(t, sim.Options{InboxBytes: 50 << 10})
	ana := b.add("ana", "ios")
	for range 50 {
		b.push(ana.Token, pad(4096))
	}
	if got := len(b.inbox("ana")); got < 9 || got > 12 {
		t.Errorf("%d entries of 4 KB in 50 KB", got)
	}
}

func TestStats(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	for range 10 {
		b.push(ana.Token, hello)
	}
	b.push(strings.Repeat("0", 64), hello)
	got := b.stats()["apns"]
	if got.Requests != 11 || got.Accepted != 10 || got.Refused != 1 || got.ByReason["BadDeviceToken"] != 1 ||
		got.Connections != 1 || got.MaxPerSecond == 0 || got.MaxPerSecond > 11 {
		t.Errorf("got %+v", got)
	}
	b.ok(nil, "DELETE", "/sim/stats", "")
	if got := b.stats()["apns"]; got.Requests != 0 || got.MaxPerSecond != 0 || len(got.ByReason) != 0 {
		t.Errorf("after DELETE %+v", got)
	}
}

// TestCredentials: keys are private, kept, and replaced only when they are
// broken beyond use, which is an error that says what to do.
func TestCredentials(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	o := sim.Options{Address: "127.0.0.1:1"}
	s, err := sim.New(dir, o)
	must(t, err)
	c := s.Credentials()
	if c.KeyID != "SIMKEY0001" || c.TeamID != "SIMTEAM001" || filepath.Base(c.APNsKeyFile) != "AuthKey_SIMKEY0001.p8" {
		t.Errorf("got %+v", c)
	}
	texts := map[string]string{}
	for _, path := range []string{c.APNsKeyFile, c.ServiceAccountFile, c.CAFile, filepath.Join(dir, "ca-key.pem")} {
		info, err := os.Stat(path)
		must(t, err)
		if path != c.CAFile && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		text, err := os.ReadFile(path)
		must(t, err)
		texts[path] = string(text)
	}
	_, err = sim.New(dir, o)
	must(t, err)
	for path, text := range texts {
		if again, err := os.ReadFile(path); err != nil || string(again) != text {
			t.Errorf("%s has changed: %v", path, err)
		}
	}
	must(t, os.WriteFile(c.APNsKeyFile, []byte("broken"), 0o600))
	if _, err := sim.New(dir, o); err == nil || !strings.Contains(err.Error(), c.APNsKeyFile) || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("got %v", err)
	}
	if _, err := sim.New(dir, sim.Options{}); err == nil || !strings.Contains(err.Error(), "Options.Address") {
		t.Errorf("got %v", err)
	}
}

// TestEveryListenerServesEverything, and one of them is the sandbox.
func TestEveryListenerServesEverything(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	second, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s, err := sim.New(t.TempDir(), sim.Options{Address: first.Addr().String(), SandboxAddress: second.Addr().String()})
	must(t, err)
	b := serve(t, s, first, second)
	other := *b
	other.addr = second.Addr().String()
	var ana device
	other.ok(&ana, "POST", "/sim/devices", `{"name":"ana","platform":"ios","environment":"sandbox"}`)
	if got := b.push(ana.Token, hello); got.Reason != "BadDeviceToken" {
		t.Errorf("production: %+v", got)
	}
	if got := other.push(ana.Token, hello); got.status != 200 {
		t.Errorf("sandbox: %+v", got)
	}
	if got := len(b.inbox("ana")); got != 1 {
		t.Errorf("the inbox has %d entries", got)
	}
	if err := s.Serve(context.Background(), first); err == nil {
		t.Error("Serve ran twice")
	}
}

// TestSilentConnections do not keep the simulator from stopping.
func TestSilentConnections(t *testing.T) {
	b := start(t, sim.Options{})
	var conns []net.Conn
	for _, said := range []string{"", "\x16", "\x16\x03\x01", "G", "POST /token HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"} {
		c, err := net.Dial("tcp", b.addr)
		must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, said)
		must(t, err)
		conns = append(conns, c)
	}
	w := b.dial() // has said its preface, and no request
	until(w, func(f *http2.SettingsFrame) bool { return !f.IsAck() })
	b.add("ana", "ios")
	begin := time.Now()
	b.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	for _, c := range append(conns, w.conn) {
		must(t, c.SetDeadline(time.Now().Add(bound)))
		for in := bufio.NewReader(c); ; {
			if _, err := in.ReadByte(); err != nil {
				if os.IsTimeout(err) {
					t.Error("a connection is still open")
				}
				break
			}
		}
	}
}

// TestFailingListener ends Serve with its error.
func TestFailingListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s, err := sim.New(t.TempDir(), sim.Options{Address: l.Addr().String()})
	must(t, err)
	l.Close()
	if err := s.Serve(context.Background(), l); err == nil {
		t.Error("no error")
	}
	if err := s.Serve(context.Background()); err == nil {
		t.Error("no error")
	}
}
