package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
	"go.uber.org/goleak"
)

// childRole names what this test binary does when a test has started it again as
// a process of its own; see children.
const childRole = "DIAPHONE_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(children(role))
	}
	goleak.VerifyTestMain(m)
}

// children are the processes that tests start. What they print is the test's
// evidence; they end with 0, or are killed.
func children(role string) int {
	path, o := os.Getenv("DIAPHONE_BOLT_TEST_FILE"), Options{}
	run := map[string]func(*Store) error{
		"accept":       acceptForEver,
		"accept-early": acceptForEver,
		"append":       appendForEver,
		"hold":         hold,
		"small-files":  smallFiles,
		"small-backup": smallBackup,
	}[role]
	o.hooks.ackEarly = role == "accept-early"
	o.hooks.fullRetry = time.Millisecond
	s, err := Open(path, o)
	if err == nil {
		err = errors.Join(run(s), s.Close())
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// child starts this binary in a role on a data file.
func child(t *testing.T, role, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, "DIAPHONE_BOLT_TEST_FILE="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// acceptForEver accepts from several goroutines and prints each id that the store
// has acknowledged.
func acceptForEver(s *Store) error {
	if _, _, err := storagetest.Put(context.Background(), s, testDevice("d"), time.Now()); err != nil {
		return err
	}
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				m := testMessage("d")
				if _, err := s.Accept(context.Background(), m, storage.Idempotency{}, testRoute); err != nil {
					failed <- err
					return
				}
				if _, err := os.Stdout.WriteString(string(m.ID) + "\n"); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// killed runs a child, kills it after so many acknowledged messages, and gives
// all ids that it had printed.
func killed[ID ~string](t *testing.T, role, path string, after int) (acked []ID) {
	t.Helper()
	cmd, lines := child(t, role, path)
	for lines.Scan() {
		acked = append(acked, ID(lines.Text()))
		if len(acked) == after {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // "signal: killed"
	if len(acked) < after {
		t.Fatalf("the child ended by itself after %v", acked)
	}
	return acked
}

// lost tells how many acknowledged messages a reopened store does not have whole.
func lost(t *testing.T, path string, acked []diaphone.MessageID) (n int) {
	t.Helper()
	s := openStore(t, path, Options{})
	defer closeStore(t, s)
	for _, id := range acked {
		r, err := s.Message(context.Background(), testApp, id)
		if diaphone.CodeOf(err) == diaphone.NotFound && err != nil {
			n++
			continue
		}
		if err != nil || r.Counts.Accepted != 1 {
			t.Fatalf("message %s: %+v, %v", id, r.Counts, err)
		}
		d, _, err := s.Deliveries(context.Background(), testApp, id, storage.Page{Limit: 10})
		if err != nil || len(d) != 1 {
			t.Fatalf("deliveries of %s: %v, %v", id, d, err)
		}
	}
	return n
}

func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	var acked []diaphone.MessageID
	for i := range 8 {
		acked = append(acked, killed[diaphone.MessageID](t, "accept", path, 37*(i+1))...)
		if n := lost(t, path, acked); n > 0 {
			t.Fatalf("kill %d: %d of %d acknowledged messages are lost", i, n, len(acked))
		}
	}
	t.Logf("%d acknowledged messages survived 8 kills", len(acked))
	s := openStore(t, path, Options{})
	claimed := 0
	for {
		batches, _, err := s.Claim(t.Context(), storage.Claim{Lane: testLane, Now: time.Now().Add(time.Second), N: 100, Lease: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) == 0 {
			break
		}
		claimed += len(batches)
	}
	if claimed < len(acked) {
		t.Errorf("%d batches can be claimed, %d were acknowledged", claimed, len(acked))
	}
	closeStore(t, s)
	checkFile(t, path)
}

// The same test must find a store that answers before the commit.
func TestKillFindsEarlyAcknowledgement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	for i := range 40 {
		acked := killed[diaphone.MessageID](t, "accept-early", path, 40+i)
		if n := lost(t, path, acked); n > 0 {
			t.Logf("kill %d: %d of %d acknowledged messages are lost, as they must be", i, n, len(acked))
			return
		}
	}
	t.Error("40 kills lost nothing, though messages were acknowledged before their commit")
}

// hold keeps the file open until it is killed.
func hold(*Store) error {
	fmt.Println("open")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	return nil
}

func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	cmd, lines := child(t, "hold", path)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the child said %q", lines.Text())
	}
	start := time.Now()
	refused(t, path, Options{LockTimeout: 100 * time.Millisecond}, "another diaphone")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openStore(t, path, Options{}))
}

func TestUnusableFolders(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "file")
	if err := os.WriteFile(in, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(filepath.Join(in, "diaphone.db"), Options{})
	if err == nil || !strings.Contains(err.Error(), in) {
		t.Errorf("a file in place of the folder: %v", err)
	}
	// Nobody, root included, can create a file here.
	_, err = Open("/proc/self/diaphone.db", Options{})
	if err == nil || !strings.Contains(err.Error(), "/proc/self") || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("a folder that cannot be written: %v", err)
	}
}
