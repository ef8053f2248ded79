package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Patch changes a piece of text in a source file of the product, named by its path
// from the module's folder. The text must be there exactly once.
type Patch struct{ File, Old, New string }

// Mutant builds the command with a fault planted in it and gives the path of the
// binary, which is removed with the test. The fault is in a copy that the compiler
// is shown in place of the file (go build -overlay): the product itself has none.
func Mutant(t testing.TB, patches ...Patch) string {
	t.Helper()
	list := Overlay(t, patches...)
	binary := filepath.Join(filepath.Dir(list), "diaphone")
	out, err := exec.Command("go", "build", "-C", root(), "-overlay", list, "-ldflags", "-s -w", "-o", binary, "./cmd/diaphone").CombinedOutput()
	if err != nil {
		t.Fatalf("build a mutant: %v\n%s", err, out)
	}
	return binary
}

// Overlay writes patched copies and the list of them that go build -overlay wants,
// and gives the list's path. A patch that does not fit any more fails the test.
func Overlay(t testing.TB, patches ...Patch) string {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	for i, p := range patches {
		original := filepath.Join(root(), filepath.FromSlash(p.File))
		copied, patched := overlay.Replace[original]
		source := copied
		if !patched {
			source = original
			copied = filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(original)))
			overlay.Replace[original] = copied
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), p.Old); n != 1 {
			t.Fatalf("%s has the text to be changed %d times, it must be there once; mend the mutant:\n%s", p.File, n, p.Old)
		}
		if err := os.WriteFile(copied, []byte(strings.Replace(string(text), p.Old, p.New, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, plan, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
