// Package conformance runs the acceptance list of the Pusher Channels protocol
// against a whole gateway: unmodified npm packages in Node and in Chromium where
// a client can do it, raw frames and requests where none can. It writes the table
// docs/conformance.md by itself.
package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// rewrite is how `make conformance` is told from `make test`.
var rewrite = flag.Bool("rewrite", false, "write docs/conformance.md instead of comparing it")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	// Looked at here, so that go test knows what its cached result depends on.
	for _, path := range []string{"../node_modules/.package-lock.json", "clients"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal("the npm packages are not installed: run make deps")
		}
		f.Close()
	}
	results := newResults()
	t.Run("by", func(t *testing.T) {
		g := newGateway(t)
		env := scriptWorld(t, g)
		t.Run("raw", func(t *testing.T) {
			t.Parallel()
			runRaw(t, g, results)
		})
		for _, script := range []string{"node.mjs", "chromium.mjs"} {
			t.Run(script, func(t *testing.T) {
				t.Parallel()
				runScript(t, script, env, results)
			})
		}
	})
	results.check(t)
	compare(t, results.table(t))
}

// scriptWorld gives the scripts all that they need to know.
func scriptWorld(t *testing.T, g *gateway) (env []string) {
	t.Helper()
	c := &control{t: t, gateway: g, relays: map[string]*harness.Relay{}, gateways: map[string]*gateway{}}
	key, vectors := loadVectors(t)
	dir := t.TempDir()
	world, err := json.Marshal(map[string]any{
		"port": g.port, "control": c.serve(), "apps": accounts, "masterKey": key, "vectors": vectors, "dir": dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "CONFORMANCE="+string(world), "CHROMIUM="+harness.Chromium(t), "TMPDIR="+dir)
}

// scriptTimeout is for a machine that is busy; a script takes some ten seconds.
const scriptTimeout = 3 * time.Minute

// runScript runs a script, which prints what it finds, and ends with "done".
func runScript(t *testing.T, script string, env []string, results *results) {
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "clients/"+script)
	cmd.Env = env
	// A group of its own, so that Chromium's processes end with it whatever happens.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.Process != nil {
		_ = cmd.Cancel() // nothing of a script outlives it
	}
	done := results.read(t, &stdout)
	if err != nil || !done {
		t.Fatalf("node %s: %v\n%s", script, err, tail(stderr.Bytes()))
	}
}

// read takes in what a script has printed; done: it came to its end.
func (r *results) read(t *testing.T, stdout io.Reader) (done bool) {
	t.Helper()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var found struct {
			Point, Client, Error string
			Took                 int // milliseconds
		}
		switch text := lines.Bytes(); {
		case string(text) == "done":
			done = true
		case json.Unmarshal(text, &found) != nil:
			t.Logf("printed: %s", text)
		default:
			t.Logf("%s by %s: %d ms", found.Point, found.Client, found.Took)
			r.report(found.Point, found.Client, found.Error == "")
			if found.Error != "" {
				t.Errorf("%s by %s: %s", found.Point, found.Client, found.Error)
			}
		}
	}
	return done
}

func tail(text []byte) []byte {
	const most = 4000
	return text[max(0, len(text)-most):]
}

// runRaw runs the checks that need no client library.
func runRaw(t *testing.T, g *gateway, results *results) {
	for _, checks := range []map[string]func(*testing.T, *gateway){rawConnections, rawChannels, rawHTTP, rawWebhooks, rawSDKs} {
		for id, check := range checks {
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				defer func() { results.report(id, "raw", !t.Failed()) }()
				check(t, g)
			})
		}
	}
}
