package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/diaphone-dev/diaphone"

// floors is the house, from the ground up (docs/adr/0001-the-house.md). A
// package imports lower floors only; the longest prefix decides.
var floors = map[string]int{
	"":                       0,
	"storage":                1,
	"providers":              1,
	"api/wire":               1,
	"sockets":                1,
	"internal":               1,
	"storage/bolt":           2,
	"storage/storagetest":    2,
	"providers/apns":         2,
	"providers/fcm":          2,
	"providers/webpush":      2,
	"providers/providertest": 2,
	"hub":                    2,
	"push":                   2,
	"hooks":                  2,
	"gateway":                3,
	"api/channels/fallback":  3, // knows sockets and HTTP, no app and no channel
	"api":                    4,
	"api/strict":             3,
	"api/apitest":            5, // drives whole doors in tests
	"client":                 4,
	"app":                    5,
	"cmd":                    6,
}

// sideways imports on one floor that are by design: a part and its contract's
// suite, the doors and what they share.
var sideways = map[string]string{
	"api/rest":     "api",
	"api/device":   "api",
	"api/channels": "api",
}

// only says which packages may import a library that must not spread.
var only = map[string][]string{
	"github.com/labstack/echo/v4":   {"api"},
	"go.etcd.io/bbolt":              {"storage/bolt"},
	"firebase.google.com/go/v4":     {"providers/fcm"},
	"github.com/sideshow/apns2":     {"providers/apns"},
	"github.com/gobwas/ws":          {"sockets", "cmd", "api/channels/fallback", "api/apitest", "sim"},
	"github.com/golang-jwt/jwt/v5":  {"internal/identity"},
	"github.com/alecthomas/kong":    {"cmd"},
	"github.com/goccy/go-yaml":      {"app", "cmd"},
	"github.com/go-json-experiment": {"api"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// room is the package's path within the house; ok is false for foreign packages.
func room(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// floor finds the floor of a room by its longest known prefix.
func floor(r string) (int, bool) {
	for {
		if f, ok := floors[r]; ok {
			return f, true
		}
		i := strings.LastIndex(r, "/")
		if i < 0 {
			return 0, false
		}
		r = r[:i]
	}
}

func within(r, folder string) bool { return r == folder || strings.HasPrefix(r, folder+"/") }

// fault tells what is wrong with one import, or "".
func fault(from, to string) string {
	if within(from, "sim") {
		if within(to, "sim") {
			return ""
		}
		return "the simulators import nothing of ours: the judge does not know the accused"
	}
	if within(to, "sim") {
		if within(from, "cmd") {
			return ""
		}
		return "only cmd runs the simulators"
	}
	a, okA := floor(from)
	b, okB := floor(to)
	switch {
	case !okA:
		return "no floor is declared for " + from
	case !okB:
		return "no floor is declared for " + to
	case a == 1 && from != "internal" && b == 1 && within(to, "internal"):
		return ""
	case b < a, sideways[from] == to:
		return ""
	}
	return "an import goes to a lower floor only"
}

func TestImportsGoDownTheFloors(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		from, _ := room(p.ImportPath)
		if within(from, "test") || from == "internal/arch" {
			continue
		}
		for _, imp := range p.Imports {
			if to, ours := room(imp); ours {
				seen++
				if why := fault(from, to); why != "" {
					t.Errorf("%s imports %s: %s", from, to, why)
				}
			}
			for lib, homes := range only {
				if !within(imp, lib) {
					continue
				}
				home := false
				for _, h := range homes {
					home = home || within(from, h)
				}
				if !home {
					t.Errorf("%s imports %s, which belongs in %v only", from, imp, homes)
				}
			}
		}
	}
	if seen == 0 {
		t.Fatal("no import was looked at")
	}
}

// TestTheTestCanFail: the rules refuse what they are there to refuse.
func TestTheTestCanFail(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"hub", "push"}, {"push", "hub"}, {"hooks", "hub"}, {"storage/bolt", "gateway"}, {"gateway", "api/rest"},
		{"sim/apns", "providers/apns"}, {"app", "cmd/diaphone"}, {"api/rest", "api/channels"}, {"app", "sim"},
	} {
		if fault(c.from, c.to) == "" {
			t.Errorf("%s may import %s", c.from, c.to)
		}
	}
}
