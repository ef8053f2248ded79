package conformance

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// results is what was found of each point, by whom.
type results struct {
	mu    sync.Mutex
	found map[string]map[string]bool // point, then client; false: it failed
}

func newResults() *results { return &results{found: make(map[string]map[string]bool)} }

func (r *results) report(point, client string, pass bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.found[point] == nil {
		r.found[point] = make(map[string]bool)
	}
	if before, again := r.found[point][client]; again {
		pass = pass && before // several checks for one point
	}
	r.found[point][client] = pass
}

// check compares what was found with the plan: nothing is left out on either side.
func (r *results) check(t *testing.T) {
	t.Helper()
	known := make(map[string]bool)
	for _, l := range plan {
		for _, p := range l.points {
			if known[p.id] {
				t.Errorf("point %s is in the plan twice", p.id)
			}
			known[p.id] = true
			_, checked := r.found[p.id]
			elsewhere := p.proof + p.measured
			switch {
			case elsewhere != "" && !testExists(t, elsewhere):
				t.Errorf("point %s: there is no test %s", p.id, elsewhere)
			case elsewhere == "" && !checked:
				t.Errorf("point %s: nothing has checked it", p.id)
			}
		}
	}
	for id := range r.found {
		if !known[id] {
			t.Errorf("point %s is not in the plan", id)
		}
	}
}

// testExists looks for FOLDER.Test in the sources; that it passes is for the run
// that it belongs to.
func testExists(t *testing.T, proof string) bool {
	t.Helper()
	folder, name, _ := strings.Cut(proof, ".")
	files, err := filepath.Glob(filepath.Join("..", "..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				return true
			}
		}
	}
	return false
}

// clients in the order of the table.
var clients = []string{"raw", "pusher", "Node", "Chromium", "Chromium, plain build"}

// row gives who checked a point, and what came of it.
func (r *results) row(p *point) (by, result string) {
	switch {
	case p.measured != "":
		return "benchmark `" + p.measured + "`", "measured"
	case p.proof != "":
		return "Go test `" + p.proof + "`", "pass"
	}
	var names, failed []string
	for _, c := range clients {
		pass, checked := r.found[p.id][c]
		if checked {
			names = append(names, c)
		}
		if checked && !pass {
			failed = append(failed, c)
		}
	}
	by = strings.Join(names, ", ")
	if all := strings.Join(clients[3:], ", "); strings.HasSuffix(by, all) {
		by = strings.TrimSuffix(by, all) + "Chromium (both builds)"
	}
	switch {
	case len(names) == 0:
		return by, "**nothing has checked it**"
	case len(failed) > 0:
		return by, "**fails**: " + strings.Join(failed, ", ")
	}
	return by, "pass"
}

const head = `# Conformance with Pusher Channels

<!-- Written by ` + "`make conformance`" + `, which runs what it tells of; ` + "`make test`" + ` runs it too and fails when this page is not what came out. The rows are in test/conformance/plan_test.go. -->

Every line of the acceptance list, what was done, by whom, and what came of it. The gateway is the whole program, under the race detector; clients are unmodified npm packages: %s.

* **Node**: pusher-js and laravel-echo in their Node builds. **Chromium**: their browser builds in Debian's Chromium, pusher-js with encryption, and the plain build without. Publishing and authorisation are by the ` + "`pusher`" + ` server SDK everywhere.
* **pusher**: the server SDK alone.
* **raw**: frames and requests written by hand, for what official clients cannot be made to send.
* **Go test**: what takes minutes is tested under virtual time; the test named runs in the same ` + "`make test`" + `.
* **benchmark**: what is a figure and no pass; ` + "`make bench-sockets`" + ` prints it.

%d points: %s.
`

// table writes the document.
func (r *results) table(t *testing.T) string {
	t.Helper()
	counts := make(map[string]int)
	total := 0
	var rows strings.Builder
	for _, l := range plan {
		fmt.Fprintf(&rows, "\n## %s\n\n| what was done and had to come of it | by | result |\n|---|---|---|\n", l.title)
		for _, p := range l.points {
			by, result := r.row(&p)
			fmt.Fprintf(&rows, "| %s | %s | %s |\n", p.what, by, result)
			kind, _, _ := strings.Cut(result, ":")
			counts[strings.Trim(kind, "*")]++
			total++
		}
	}
	var summary []string
	for kind, n := range counts {
		summary = append(summary, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(summary)
	slices.Reverse(summary)
	return fmt.Sprintf(head, versions(t), total, strings.Join(summary, ", ")) + rows.String()
}

// versions are those that package.json pins.
func versions(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../package.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Dependencies map[string]string }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range []string{"pusher-js", "pusher", "laravel-echo"} {
		names = append(names, name+" "+file.Dependencies[name])
	}
	return strings.Join(names, ", ")
}

const document = "../../docs/conformance.md"

// compare compares the document with what came out, or writes it.
func compare(t *testing.T, table string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(document, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != table {
		t.Errorf("docs/conformance.md is not what came out: %s\nrun make conformance and look at the difference", firstDifference(string(committed), table))
	}
}

func firstDifference(a, b string) string {
	was, is := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(was), len(is)) {
		if was[i] != is[i] {
			return fmt.Sprintf("line %d is\n%s\nand came out as\n%s", i+1, was[i], is[i])
		}
	}
	return "one is longer"
}
