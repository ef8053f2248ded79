package torture

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// disks are the scenes of a disk that fails.
func disks() []scene {
	if !*whole {
		return nil
	}
	return []scene{fullDisk(), failingDisk()}
}

// onSmallDisk runs a gateway whose data folder is a file system of its own, in memory
// and in a mount namespace that goes with the process: no one else sees it, and it
// takes no privilege where users may make namespaces.
func onSmallDisk(binary, dataDir string, args []string) *exec.Cmd {
	const mount = `mkdir -p "$0" && mount -t tmpfs -o size=192m tmpfs "$0" && exec "$@"`
	return exec.Command("unshare", append([]string{"--user", "--map-root-user", "--mount", "sh", "-c", mount, dataDir, binary}, args...)...)
}

// fullDisk fills the disk: first to where the gateway refuses what adds, then to the
// last byte, when nothing can be written at all. It goes on by itself when there is
// room again.
func fullDisk() scene {
	return scene{name: "disk full", load: light(), within: 45 * time.Second, run: onSmallDisk, trouble: func(s *stage) {
		s.book.refuses = []int{http.StatusInsufficientStorage}
		s.goOn(time.Second)
		disk := filepath.Join("/proc", fmt.Sprint(s.Gateway.PID()), "root", s.DataDir())
		ballast := filepath.Join(disk, "ballast")
		for _, leave := range []int64{40 << 20, 0, 40 << 20} {
			fill(s.t, disk, ballast, leave)
			s.goOn(2 * time.Second)
		}
		if err := os.Remove(ballast); err != nil {
			s.t.Fatal(err)
		}
		s.goOn(3 * time.Second)
		if s.Gateway.Ended() {
			s.t.Fatalf("a full disk has ended the gateway:\n%s", s.Gateway.Stderr())
		}
		s.book.mu.Lock()
		defer s.book.mu.Unlock()
		refusals := 0
		for i, p := range s.book.publishes {
			if p.outcome == refused {
				refusals++
			}
			if p.outcome == refused && i == len(s.book.publishes)-1 {
				s.t.Error("the last publish is refused although there is room again")
			}
		}
		if refusals == 0 {
			s.t.Error("nothing was refused, so the disk was not full")
		}
	}}
}

// fill makes the ballast as large as leaves so many bytes of the disk.
func fill(t *testing.T, disk, ballast string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	size := info.Size() + int64(st.Bavail)*st.Bsize - leave
	if size < info.Size() {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		return
	}
	block := make([]byte, 1<<20)
	for at := info.Size(); at < size; {
		n, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at)
		if err != nil && leave > 0 {
			t.Fatal(err)
		}
		if at += int64(n); err != nil {
			return // full to the last byte, which the gateway's own writes may have taken
		}
	}
}

// failingDisk has system calls of the store fail, as they do on a disk that dies. The
// gateway must end, having promised nothing that it does not hold. strace injects the
// errors (ptrace): so it is the binary that everybody runs, and the kernel's answer.
func failingDisk() scene {
	return scene{name: "fsync and write errors", load: light(), within: time.Minute, trouble: func(s *stage) {
		for _, call := range []string{"fdatasync", "pwrite64", "fdatasync"} {
			s.goOn(s.between(300*time.Millisecond, 900*time.Millisecond))
			from := time.Now()
			s.inject(call)
			s.book.cut(from, time.Now(), lanes*concurrency)
			s.StartGateway()
		}
		s.goOn(time.Second)
	}}
}

// inject has every such call of the gateway fail until it has ended, which must be soon.
func (s *stage) inject(call string) {
	s.t.Helper()
	defer s.failing(call)()
	begun := time.Now()
	if code := s.Gateway.Wait(20 * time.Second); code == 0 {
		s.t.Errorf("after a failed %s the gateway ended with 0:\n%s", call, s.Gateway.Stderr())
	}
	s.t.Logf("it ended %s after %s began to fail", time.Since(begun).Round(10*time.Millisecond), call)
}

// failing has every such call of the gateway fail until the function given back is called.
func (s *stage) failing(call string) (well func()) {
	s.t.Helper()
	strace := exec.Command("strace", "-f", "-q", "-o", "/dev/null", "-e", "trace="+call, "-e", "inject="+call+":error=EIO", "-p", fmt.Sprint(s.Gateway.PID()))
	if err := strace.Start(); err != nil {
		s.t.Fatalf("%v; make torture installs strace", err)
	}
	return func() {
		_ = strace.Process.Signal(os.Interrupt) // it lets go of the gateway; or both have ended
		_ = strace.Wait()                       // how does not matter
	}
}

// diskMutants are found by what a disk does.
func diskMutants() []mutant {
	return []mutant{{"goes on after a failed fsync", []harness.Patch{{File: "storage/bolt/writer.go",
		Old: "a.err = protect(tx.Commit)", New: "_ = protect(tx.Commit)",
	}}, failingForAWhile, "the gateway does not know it"}}
}

// failingForAWhile does not ask the gateway to end, so that a mutant need not.
func failingForAWhile() scene {
	return scene{load: light(), within: time.Minute, trouble: func(s *stage) {
		s.goOn(500 * time.Millisecond)
		well := s.failing("fdatasync")
		s.goOn(time.Second)
		well()
		s.kill()
		s.AwaitGateway()
	}}
}
