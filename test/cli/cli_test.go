// Package cli uses the binary as its users do.
package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// dev is a running `diaphone dev`.
type dev struct {
	t    *testing.T
	p    *harness.Process
	port int
	env  []string
}

func startDev(t *testing.T, args ...string) *dev {
	t.Helper()
	d := &dev{t: t, port: harness.Ports(t, 3)}
	d.p = harness.Start(t, append([]string{"dev", "--port", fmt.Sprint(d.port)}, args...)...)
	d.env = []string{
		fmt.Sprintf("DIAPHONE_SERVER=http://127.0.0.1:%d", d.port),
		fmt.Sprintf("DIAPHONE_SIM_URL=http://127.0.0.1:%d", d.port+1),
	}
	harness.Until(t, 20*time.Second, "dev says that it is ready", func() bool {
		if d.p.Ended() {
			t.Fatalf("dev ended:\n%s", d.p.Stderr())
		}
		return strings.Contains(d.p.Stdout(), "Ready.")
	})
	return d
}

// run runs a client command against the dev gateway.
func (d *dev) run(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	return harness.RunWith(d.t, d.env, args...)
}

// must is run for commands that have to succeed.
func (d *dev) must(args ...string) string {
	d.t.Helper()
	out, errs, code := d.run(args...)
	if code != 0 {
		d.t.Fatalf("diaphone %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

type sent struct {
	Message struct {
		State  string
		Counts map[string]int
	}
	Deliveries []struct {
		DeviceID string `json:"device_id"`
		Provider string
		State    string
		Attempts []struct{ Status int }
	}
}

// TestTheFirstMinute is the README's second terminal.
func TestTheFirstMinute(t *testing.T) {
	d := startDev(t)
	for _, part := range []string{"app-key", "app-secret", "dp_dev", fmt.Sprintf("http://127.0.0.1:%d/v1", d.port), "export PATH=", "diaphone send user:ana"} {
		if !strings.Contains(d.p.Stdout(), part) {
			t.Errorf("the banner lacks %q:\n%s", part, d.p.Stdout())
		}
	}
	begun := time.Now()
	var s sent
	decode(t, d.must("send", "user:ana", "hello", "--wait", "--json"), &s)
	t.Logf("send --wait: %s", time.Since(begun).Round(time.Millisecond))
	if len(s.Deliveries) != 3 || s.Message.State != "finished" || s.Message.Counts["delivered"] != 3 {
		t.Fatalf("send --wait: %+v", s)
	}
	providers, accepted := map[string]bool{}, map[string]int{"apns": 200, "fcm": 200, "webpush": 201}
	for _, delivery := range s.Deliveries {
		providers[delivery.Provider] = true
		if len(delivery.Attempts) != 1 || delivery.Attempts[0].Status != accepted[delivery.Provider] {
			t.Errorf("delivery %+v, want one accepted attempt", delivery)
		}
	}
	if len(providers) != 3 {
		t.Errorf("providers %v, want all three", providers)
	}
	text := d.must("send", "user:ana", "hello", "--wait")
	for _, part := range []string{"ana-iphone", "ana-android", "ana-browser", "apns", "fcm", "webpush", "delivered"} {
		if !strings.Contains(text, part) {
			t.Errorf("send --wait prints no %q:\n%s", part, text)
		}
	}
	var inbox []struct{ Device, Provider, Title, Body string }
	decode(t, d.must("sim", "inbox", "ls", "--json"), &inbox)
	if len(inbox) != 6 || inbox[0].Title+inbox[0].Body != "hello" { // a browser wants a title: without one the text is it
		t.Errorf("inbox %+v, want six times hello", inbox)
	}
	if list := d.must("devices", "ls"); !strings.Contains(list, "ana-iphone") || !strings.Contains(list, "ana-android") {
		t.Errorf("devices ls:\n%s", list)
	}
	if code := d.p.Stop(15 * time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, d.p.Stderr())
	}
}

func TestListenHearsWhatIsPublished(t *testing.T) {
	d := startDev(t)
	for _, channel := range []string{"news", "private-news", "presence-news"} {
		t.Setenv("DIAPHONE_SERVER", strings.TrimPrefix(d.env[0], "DIAPHONE_SERVER="))
		listener := harness.Start(t, "listen", channel, "--count", "2")
		harness.Until(t, 10*time.Second, "listening", func() bool { return strings.Contains(listener.Stderr(), "listening on "+channel) })
		d.must("publish", channel, "greeting", `{"hi":1}`)
		d.must("publish", channel, "note", "just text")
		if code := listener.Wait(10 * time.Second); code != 0 {
			t.Fatalf("listen: exit code %d\n%s", code, listener.Stderr())
		}
		lines := strings.Split(strings.TrimSpace(listener.Stdout()), "\n")
		want := []string{`"event":"greeting","data":{"hi":1}`, `"event":"note","data":"just text"`}
		for i, part := range want {
			if i >= len(lines) || !strings.Contains(lines[i], part) || !strings.Contains(lines[i], `"channel":"`+channel+`"`) {
				t.Errorf("line %d of %q lacks %q", i, lines, part)
			}
		}
	}
}

func TestDevicesAreAddedShownAndRemoved(t *testing.T) {
	d := startDev(t)
	var phone struct{ Token string }
	decode(t, d.must("sim", "devices", "add", "bobs", "android", "--json"), &phone)
	d.must("devices", "add", "bobs", "--platform", "android", "--fcm", phone.Token, "--user", "bob", "--channel", "news", "--tag", "team=red")
	shown := d.must("devices", "get", "bobs")
	if !strings.Contains(shown, "bob") || !strings.Contains(shown, "news") || strings.Contains(shown, phone.Token) {
		t.Errorf("devices get prints:\n%s", shown)
	}
	if out := d.must("send", "channel:news", "hi", "--wait"); !strings.Contains(out, "delivered") {
		t.Errorf("send:\n%s", out)
	}
	d.must("sim", "devices", "set", "bobs", "uninstalled")
	if out, _, code := d.run("send", "device:bobs", "hi", "--wait"); code != 8 || !strings.Contains(out, "failed") {
		t.Errorf("send to an uninstalled app: exit code %d, want 8\n%s", code, out)
	}
	if out, _, code := d.run("send", "device:bobs", "hi", "--wait"); code != 8 || !strings.Contains(out, "token_gone") {
		t.Errorf("send after the token was found dead: exit code %d, want 8 and token_gone\n%s", code, out)
	}
	d.must("devices", "rm", "bobs")
	if _, errs, code := d.run("devices", "get", "bobs"); code != 5 {
		t.Errorf("get after rm: exit code %d, want 5\n%s", code, errs)
	}
}

func TestABrowserIsAdded(t *testing.T) {
	d := startDev(t)
	var browser struct{ Subscription json.RawMessage }
	decode(t, d.must("sim", "devices", "add", "bobs", "web", "--json"), &browser)
	file := filepath.Join(t.TempDir(), "subscription.json")
	if err := os.WriteFile(file, browser.Subscription, 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("devices", "add", "bobs", "--platform", "web", "--subscription", file)
	if out := d.must("send", "device:bobs", "hi", "--wait"); !strings.Contains(out, "delivered") {
		t.Errorf("send:\n%s", out)
	}
	d.must("sim", "faults", "set", "webpush", "--status", "410")
	if out, _, code := d.run("send", "device:bobs", "hi", "--wait"); code != 8 || !strings.Contains(out, "errno_106") {
		t.Errorf("send to a subscription that has ended: exit code %d, want 8\n%s", code, out)
	}
	foreign := strings.Replace(string(browser.Subscription), "127.0.0.1", "10.0.0.1", 1)
	if err := os.WriteFile(file, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := d.run("devices", "add", "bobs", "--platform", "web", "--subscription", file); code != 2 || !strings.Contains(errs, "none of those that are allowed") {
		t.Errorf("an endpoint in a private network: exit code %d, want 2\n%s", code, errs)
	}
}

func TestWrongUse(t *testing.T) {
	d := startDev(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no store\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{}, 2, "expected"},
		{[]string{"frobnicate"}, 2, "frobnicate"},
		{[]string{"send"}, 2, "to"},
		{[]string{"send", "ana", "hi"}, 2, "user:ID"},
		{[]string{"send", "users:ana", "hi"}, 2, "user, device, channel"},
		{[]string{"send", "user:ana", "hi", "--ttl", "-5s"}, 2, "--ttl -5s: 0 or more\n"},
		{[]string{"send", "user:ana", "hi", "--badge", "-1"}, 2, "--badge -1: 0 or more\n"},
		{[]string{"send", "user:ana", "hi", "--ttl=-500ms"}, 2, "--ttl -500ms: 0 or more"},
		{[]string{"send", "user:ana", "hi", "--badge=-1"}, 2, "--badge -1: 0 or more"},
		{[]string{"send", "user:ana", "hi", "--timeout", "0s"}, 2, "--timeout 0s: more than 0"},
		{[]string{"send", "user:ana"}, 2, "empty"},
		{[]string{"send", "user:nobody", "hi", "--wait"}, 5, "nobody"},
		{[]string{"send", "channel:no spaces", "hi"}, 2, "the audience (/to/channels/0)\n"},
		{[]string{"send", "user:ana", "hi", "--data", "from=x"}, 2, "--data (/notification/data/from)\n"},
		{[]string{"send", "channel:no spaces", "hi", "--collapse", strings.Repeat("x", 65)}, 2, "--collapse (/notification/collapse_id): "},
		{[]string{"send", "user:ana", "hi", "--server", fmt.Sprintf("127.0.0.1:%d", d.port)}, 2, "--server: the gateway's address is not a URL: http://HOST:PORT"},
		{[]string{"listen", "news", "--server", fmt.Sprintf("localhost:%d", d.port)}, 2, "--server: the gateway's address"},
		{[]string{"listen", "news", "--server", "http://127.0.0.1:1"}, 7, "is the gateway running there? --server"},
		{[]string{"send", "user:ana", "hi", "--token", "wrong"}, 4, "token"},
		{[]string{"send", "user:ana", "hi", "--server", "http://127.0.0.1:1"}, 7, "127.0.0.1:1"},
		{[]string{"devices", "ls", "--server", "http://127.0.0.1:1"}, 7, "is the gateway running there? --server"},
		{[]string{"send", "user:ana", strings.Repeat("x", 5000)}, 2, "4096"},
		{[]string{"publish", "news", "pusher:evil"}, 2, "pusher:"},
		{[]string{"listen", "private-x", "--secret", "wrong", "--timeout", "5s"}, 4, "refused"},
		{[]string{"listen", "bad name", "--timeout", "5s"}, 2, "bad name"},
		{[]string{"--version"}, 0, ""},
		{[]string{"listen", "news", "--key", "unknown", "--timeout", "5s"}, 4, "(code 4001); --key or DIAPHONE_KEY"},
		{[]string{"devices", "get", "nobody"}, 5, "nobody"},
		{[]string{"devices", "add", "x", "--platform", "ios", "--apns", "not-hex"}, 2, "/tokens/0/value"},
		{[]string{"webhooks", "dead", "none"}, 5, "apps file"},
		{[]string{"webhooks", "dead"}, 2, "`diaphone webhooks ls`"},
		{[]string{"webhooks", "discard", "--all"}, 2, "`diaphone webhooks ls`"},
		{[]string{"webhooks", "resend", "backend", "first"}, 2, "first"},
		{[]string{"webhooks", "discard", "backend"}, 2, "--all"},
		{[]string{"webhooks", "discard", "backend", "1", "--all"}, 2, "--all"},
		{[]string{"dev", "--host", "0.0.0.0"}, 2, "loopback"},
		{[]string{"dev", "--host", "192.168.0.1"}, 2, "loopback"},
		{[]string{"dev", "--port", "65535"}, 2, "65533"},
		{[]string{"sim", "--host", "0.0.0.0"}, 2, "loopback"},
		{[]string{"dev", "--port", fmt.Sprint(d.port)}, 3, fmt.Sprintf("127.0.0.1:%d: ", d.port)},
		{[]string{"serve", "--apps", "/nowhere/apps.yaml"}, 3, "/nowhere/apps.yaml: no such file or directory; --apps names it"},
		{[]string{"serve", "--stop-within", "1ms"}, 2, "--stop-within"},
		{[]string{"backup"}, 2, "file"},
		{[]string{"backup", ""}, 2, "file"},
		{[]string{"backup", "/nowhere/backup"}, 5, "/nowhere"},
		{[]string{"backup", text, "--data-dir", "/nowhere"}, 6, "--force"},
		{[]string{"backup", filepath.Join(t.TempDir(), "b"), "--data-dir", "/nowhere"}, 5, "/nowhere"},
		{[]string{"check", "/nowhere/backup"}, 5, "/nowhere/backup"},
		{[]string{"check", "--data-dir", "/nowhere"}, 5, "/nowhere"},
		{[]string{"check", text}, 9, "no diaphone store"},
		{[]string{"check", text, text}, 2, "unexpected"},
		{[]string{"restore"}, 2, "backup"},
		{[]string{"salvage", text}, 2, "out"},
		{[]string{"salvage", text, filepath.Join(t.TempDir(), "out")}, 9, "nothing can be salvaged"},
		{[]string{"restore", text, "--data-dir", t.TempDir()}, 9, "no diaphone store"},
		{[]string{"serve", "--drain-for", "30s"}, 2, "shorter than --stop-within 30s"},
		{[]string{"sim", "inbox", "ls", "--sim-url", "http://127.0.0.1:1"}, 7, "--sim-url says"},
	} {
		out, errs, code := d.run(c.args...)
		if code != c.code || !strings.Contains(errs, c.says) || saysTwice(errs) {
			t.Errorf("diaphone %q: exit code %d, want %d with %q in:\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

// saysTwice tells whether what is said of a fault is said of its place again.
func saysTwice(text string) bool {
	_, said, ok := strings.Cut(strings.SplitN(text, " [request ", 2)[0], "A field is wrong: ")
	return ok && strings.Count(text, said) > 1
}

func TestAnIdempotencyKeyIsHonoured(t *testing.T) {
	d := startDev(t)
	first := d.must("send", "user:ana", "once", "--idempotency-key", "k1")
	if again := d.must("send", "user:ana", "once", "--idempotency-key", "k1"); again != first {
		t.Errorf("the same key gives %q after %q", again, first)
	}
	if _, errs, code := d.run("send", "user:ana", "other", "--idempotency-key", "k1"); code != 6 {
		t.Errorf("another body under the same key: exit code %d, want 6\n%s", code, errs)
	}
}

// TestSimAndServeAreTwoCommands: simulators alone, a gateway against them.
func TestSimAndServeAreTwoCommands(t *testing.T) {
	w := harness.NewWorld(t, nil)
	if code := w.Gateway.Stop(15 * time.Second); code != 0 {
		t.Errorf("serve: exit code %d after SIGTERM\n%s", code, w.Gateway.Stderr())
	}
	w.StartGateway() // a second run on the same folder
	if code := w.Sim.Stop(15 * time.Second); code != 0 {
		t.Errorf("sim: exit code %d after SIGTERM\n%s", code, w.Sim.Stderr())
	}
}

func TestDevKeepsItsDataFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := startDev(t, "--data-dir", dir)
	id := strings.Fields(d.must("send", "user:ana", "hello"))[0]
	second := harness.Start(t, "serve", "--apps", filepath.Join(dir, "sim", "apps.yaml"), "--data-dir", dir, "--listen", fmt.Sprintf("127.0.0.1:%d", harness.Ports(t, 1)))
	if code := second.Wait(20 * time.Second); code != 3 || !strings.Contains(second.Stderr(), "diaphone.db") {
		t.Errorf("a second process on the folder: exit code %d, want 3 and the file's name\n%s", code, second.Stderr())
	}
	d.p.Kill()
	again := startDev(t, "--data-dir", dir)
	if list := again.must("devices", "ls", "--json"); strings.Count(list, `"device_id"`) != 3 {
		t.Errorf("after a kill and a second run:\n%s", list)
	}
	if out := again.must("send", "user:ana", "hello", "--wait"); strings.Count(out, "delivered") != 3 {
		t.Errorf("after a kill and a second run:\n%s", out)
	}
	_ = id
}

// startSlow starts a gateway that takes its time to stop.
func startSlow(t *testing.T, flags ...string) (*harness.World, *harness.Process) {
	t.Helper()
	w := harness.NewWorld(t, nil)
	w.Gateway.Stop(15 * time.Second)
	gateway := harness.Start(t, append([]string{"serve", "--apps", filepath.Join(filepath.Dir(w.DataDir()), "sim", "apps.yaml"),
		"--data-dir", w.DataDir(), "--listen", strings.TrimPrefix(w.URL, "http://")}, flags...)...)
	harness.Until(t, 20*time.Second, "ready", func() bool { return strings.Contains(gateway.Stderr(), "ready") })
	return w, gateway
}

func TestASecondSignalHurries(t *testing.T) {
	w, gateway := startSlow(t, "--drain-for", "1m", "--stop-within", "2m")
	t.Setenv("DIAPHONE_SERVER", w.URL)
	listener := harness.Start(t, "listen", "news", "--timeout", "1m")
	harness.Until(t, 10*time.Second, "listening", func() bool { return strings.Contains(listener.Stderr(), "listening") })
	gateway.Signal(syscall.SIGTERM)
	harness.Until(t, 10*time.Second, "stopping", func() bool { return strings.Contains(gateway.Stderr(), "stopping") })
	begun := time.Now()
	if code := gateway.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit code %d\n%s", code, gateway.Stderr())
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("after the second signal it took %s", took)
	}
}

// TestAStopSendsHTTPListenersAway: a client that listens by a request without an
// end is told to connect again, and the stop does not wait for it.
func TestAStopSendsHTTPListenersAway(t *testing.T) {
	w, gateway := startSlow(t, "--drain-for", "100ms", "--stop-within", "1m")
	listener := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer listener.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/pusher/app/app-key/418/abcdefgh/xhr_streaming?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := listener.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "pusher:connection_established") {
	}
	begun := time.Now()
	if code := gateway.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit code %d\n%s", code, gateway.Stderr())
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "c[4200,") || lines.Scan() {
		t.Errorf("the listener heard %q at the end", lines.Text())
	}
}

// TestAStopHasABound, also when an attempt hangs; the delivery is made after the
// next start.
func TestAStopHasABound(t *testing.T) {
	w, gateway := startSlow(t, "--drain-for", "0s", "--stop-within", "2s")
	w.AddPhones(1, "ios", "phone", "news")
	w.SimCall("PUT", "/sim/faults", map[string]any{"provider": "apns", "reason": "hang"}, nil)
	id := w.Send("news", "hello")
	harness.Until(t, 10*time.Second, "the attempt is under way", func() bool {
		var stats map[string]struct{ Requests int }
		w.SimCall("GET", "/sim/stats", nil, &stats)
		return stats["apns"].Requests > 0
	})
	begun := time.Now()
	if code := gateway.Stop(20 * time.Second); code != 0 || !strings.Contains(gateway.Stderr(), "hurrying") {
		t.Errorf("exit code %d\n%s", code, gateway.Stderr())
	}
	if took := time.Since(begun); took < 1500*time.Millisecond || took > 6*time.Second {
		t.Errorf("a stop within 2 s took %s", took)
	}
	w.SimCall("DELETE", "/sim/faults", nil, nil)
	w.StartGateway()
	if m := w.Await(id, 20*time.Second); m.Counts.Delivered != 1 {
		t.Errorf("counts %+v, want 1 delivered", m.Counts)
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	w := harness.NewWorld(t, nil)
	apps := filepath.Join(filepath.Dir(w.DataDir()), "sim", "apps.yaml")
	for _, args := range [][]string{{"config", "--apps", apps}, {"config", "--apps", apps, "--json"}} {
		out, errs, code := harness.Run(t, args...)
		if code != 0 || !strings.Contains(out, "app-key") || !strings.Contains(out, "data-dir") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
		for _, secret := range []string{"app-secret", "dp_dev", "PRIVATE KEY"} {
			if strings.Contains(out+errs, secret) {
				t.Errorf("%v prints the secret %q", args, secret)
			}
		}
	}
}

// TestAnUnusableAppsFileIsRefusedWithItsLine: each fault names file and line.
func TestAnUnusableAppsFileIsRefusedWithItsLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("bad.p8", "this is no key, but secretive-content")
	write("bad.json", `{"type": "service_account", "private_key": "secretive-content"}`)
	for _, c := range []struct{ text, says string }{
		{"apps: []\n", "declares no app"},
		{"apps:\n  - id: \"1\"\n    frobs: 3\n", "frobs"},
		{"apps:\n  - id: \"a b\"\n", ":2: apps[0].id"},
		{"apps:\n  - id: \"1\"\n    keys:\n      - key: k\n", ":4: apps[0].keys[0]"},
		{"apps:\n  - id: \"1\"\n    tokens:\n      - sha256: abc\n", ":4: apps[0].tokens[0].sha256"},
		{"apps:\n  - id: \"1\"\n    apns:\n      - team_id: TEAM123456\n        key_file: AuthKey_ABC123DEFG.p8\n", ":5: apps[0].apns[0].key_file"},
		{"apps:\n  - id: \"1\"\n    apns:\n      - team_id: TEAM123456\n        key_id: ABC123DEFG\n        topic: a.b\n        key_file: bad.p8\n", "apps[0].apns[0]"},
		{"apps:\n  - id: \"1\"\n    fcm:\n      - service_account_file: bad.json\n", ":4: apps[0].fcm[0].service_account_file"},
		{"apps:\n  - id: \"1\"\n  - id: \"1\"\n", "two apps have the id"},
		{"apps:\n  - id: \"1\"\n    keys: {secretive-content\n", "apps.yaml"},
		{"", "declares no app"},
		{"apps:\n  - id: \"1\"\n---\napps: []\n", "second one"},
		{"apps:\n  - id: \"1\"\n    tokens:\n      - token: *secretive-content\n", "apps.yaml:4"},
		{"apps:\n  - id: \"1\"\n    tokens:\n      - token: |secretive-content\n", "apps.yaml"},
		{"apps:\n  - id: \"1\"\n    tokens:\n      - secretive-content-X: y\n", "unknown field"},
	} {
		write("apps.yaml", c.text)
		_, errs, code := harness.Run(t, "config", "--apps", filepath.Join(dir, "apps.yaml"))
		if code != 3 || !strings.Contains(errs, c.says) || !strings.Contains(errs, "apps.yaml") {
			t.Errorf("%q: exit code %d, want 3 with %q in:\n%s", c.text, code, c.says, errs)
		}
		if strings.Contains(errs, "secretive-content") {
			t.Errorf("%q: the error repeats what is in the file:\n%s", c.text, errs)
		}
	}
}

// TestPortAndFolderThatCannotBeUsed are named in the error.
func TestPortAndFolderThatCannotBeUsed(t *testing.T) {
	w := harness.NewWorld(t, nil)
	apps := filepath.Join(filepath.Dir(w.DataDir()), "sim", "apps.yaml")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, errs, code := harness.Run(t, "serve", "--apps", apps, "--data-dir", t.TempDir(), "--listen", l.Addr().String())
	if code != 3 || !strings.Contains(errs, l.Addr().String()) {
		t.Errorf("a port in use: exit code %d, want 3 and the address\n%s", code, errs)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code = harness.Run(t, "serve", "--apps", apps, "--data-dir", filepath.Join(file, "data"), "--listen", fmt.Sprintf("127.0.0.1:%d", harness.Ports(t, 1)))
	if code != 3 || !strings.Contains(errs, file) {
		t.Errorf("a data folder that cannot be: exit code %d, want 3 and the path\n%s", code, errs)
	}
}

// TestSettingsComeFromFileEnvironmentAndFlag, in rising order.
func TestSettingsComeFromFileEnvironmentAndFlag(t *testing.T) {
	w := harness.NewWorld(t, nil)
	apps := filepath.Join(filepath.Dir(w.DataDir()), "sim", "apps.yaml")
	file := filepath.Join(t.TempDir(), "diaphone.yaml")
	if err := os.WriteFile(file, []byte("apps: "+apps+"\nretention: 48h\ndrain-for: 1s\nlog-level: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"DIAPHONE_DRAIN_FOR=2s", "DIAPHONE_LOG_LEVEL=warn"}
	out, errs, code := harness.RunWith(t, env, "config", "--config", file, "--log-level", "error")
	for _, part := range []string{"retention: 48h", "drain-for: 2s", "log-level: error"} {
		if code != 0 || !strings.Contains(out, part) {
			t.Errorf("exit code %d, want %q in:\n%s%s", code, part, out, errs)
		}
	}
	if err := os.WriteFile(file, []byte("retenshun: 48h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code = harness.Run(t, "config", "--config", file); code != 3 || !strings.Contains(errs, "retenshun") {
		t.Errorf("an unknown key: exit code %d, want 3\n%s", code, errs)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}
