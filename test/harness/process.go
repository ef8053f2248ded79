// Package harness runs whole Diaphones for tests: the built binary as separate
// processes, a gateway against simulators, as a user would run them.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// built is the folder of the binary; empty until somebody needs it.
var built atomic.Pointer[string]

// build compiles the binary once for all tests of a process.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "diaphone-test-")
	if err != nil {
		return "", err
	}
	built.Store(&dir)
	path := filepath.Join(dir, "diaphone")
	out, err := exec.Command("go", "build", "-C", root(), "-o", path, "./cmd/diaphone").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// root is the folder of the module.
func root() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..")
}

// Binary gives the path of the built command.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Clean removes what Binary has built; call it at the end of TestMain.
func Clean() {
	if dir := built.Load(); dir != nil {
		_ = os.RemoveAll(*dir)
	}
}

// Process is a running command.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	out  safeBuffer
	err  safeBuffer
}

// Start runs the binary with the arguments. The process is killed when the test ends.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	if _, speed := t.(*testing.B); len(args) > 0 && args[0] == "serve" && !speed {
		return serve(t, newWatch(t), exec.Command(Binary(t), args...))
	}
	return start(t, exec.Command(Binary(t), args...))
}

// serve starts a gateway that is watched, which is why it logs all that it can; nil: it
// is not.
func serve(t testing.TB, w *Watch, cmd *exec.Cmd) *Process {
	t.Helper()
	if w == nil {
		return start(t, cmd)
	}
	cmd.Env = append(cmd.Environ(), "DIAPHONE_LOG_LEVEL=debug")
	p := start(t, cmd)
	w.follow(p)
	w.plantApps(flagOf(cmd.Args, "--apps"))
	if address := flagOf(cmd.Args, "--listen"); address != "" {
		t.Cleanup(func() { w.Scrape("http://" + address) })
	}
	return p
}

// flagOf gives the value of a flag that stands in the arguments, or "".
func flagOf(args []string, name string) string {
	if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// StartOn is Start on one processor core, where taskset is there to do that;
// elsewhere Go's scheduler is held to one core's worth.
func StartOn(t testing.TB, core int, args ...string) *Process {
	t.Helper()
	return start(t, onCore(core, Binary(t), args...))
}

// RunOn is Run on one core, without a limit of time.
func RunOn(t testing.TB, core int, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := onCore(core, Binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func onCore(core int, binary string, args ...string) *exec.Cmd {
	if path, err := exec.LookPath("taskset"); err == nil && core < runtime.NumCPU() {
		return exec.Command(path, append([]string{"-c", strconv.Itoa(core), binary}, args...)...)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return cmd
}

func start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop sends SIGTERM and gives the exit code.
func (p *Process) Stop(within time.Duration) int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(within)
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Wait waits for the end of the process and gives its exit code.
func (p *Process) Wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.Signal(syscall.SIGQUIT)
		<-p.done
		p.t.Fatalf("the process did not end within %s:\n%s", within, p.Stderr())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Ended tells whether the process has ended by itself.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Stdout gives what the process has printed so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr gives what the process has logged so far.
func (p *Process) Stderr() string { return p.err.String() }

// CPU gives the user and system time that the process has used (Linux).
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	// Fields 14 and 15 of proc_pid_stat(5), counted behind the command's name,
	// in ticks of a hundredth of a second.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Memory gives the bytes of memory that the process has for itself, without the
// files that it has mapped (Linux).
func (p *Process) Memory() int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		p.t.Fatal(err)
	}
	return kilobytes << 10
}

// Run runs the binary to its end and gives what it printed and its exit code.
func Run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return RunWith(t, nil, args...)
}

// RunWith is Run with environment variables.
func RunWith(t testing.TB, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	printed.add(args, out.String()+"\n"+errs.String())
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Chromium gives the path of the browser.
func Chromium(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	if path == "" {
		var err error
		if path, err = exec.LookPath("chromium"); err != nil {
			t.Fatal("Chromium is not installed: run make deps, or set CHROMIUM to its path")
		}
	}
	return path
}

// Ports gives the first of n neighbouring ports of loopback that were free a
// moment ago. They are below the range that the kernel gives to clients.
func Ports(t testing.TB, n int) int {
	t.Helper()
	for range 200 {
		first := 20_000 + rand.IntN(12_000)
		var open []net.Listener
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
			if err != nil {
				break
			}
			open = append(open, l)
		}
		for _, l := range open {
			l.Close()
		}
		if len(open) == n {
			return first
		}
	}
	t.Fatalf("no %d neighbouring ports are free", n)
	return 0
}

// Until waits for a condition, looking often, and fails the test when it does
// not come true in time.
func Until(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-ticker.C
	}
}

// safeBuffer may be read while a process writes into it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
