package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

// constants gives the string constants of a file by name.
func constants(t *testing.T, file *ast.File) map[string]string {
	t.Helper()
	all := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for i, name := range v.Names {
				if i < len(v.Values) {
					if text, ok := literal(v.Values[i]); ok {
						all[name.Name] = text
					}
				}
			}
		}
		return true
	})
	return all
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

func parse(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("nothing is in %s", pattern)
	}
	return files
}

// explained fails for a code without a sentence of its own. Apple's constants are told
// by their names, so case does not count.
func explained(t *testing.T, where, code string) {
	t.Helper()
	if code == "" {
		return
	}
	for _, known := range []map[string]sentences{meanings, vendorMeanings} {
		for k, text := range known {
			if strings.EqualFold(k, code) && text.means != "" {
				return
			}
		}
	}
	t.Errorf("%s: the reason %q has no sentence in meanings", where, code)
}

// Every reason that the product gives has its sentence: ours, and the words that the
// providers' rules know.
func TestEveryReasonHasASentence(t *testing.T) {
	ours := constants(t, parse(t, "../reason.go")[0])
	for name, code := range ours {
		explained(t, name, code)
	}
	for _, file := range parse(t, "meanings.go") {
		for name, code := range constants(t, file) {
			if strings.HasPrefix(name, "Answer") {
				explained(t, name, code)
			}
		}
	}
	for _, v := range []diaphone.Verdict{diaphone.Accepted, diaphone.Refused, diaphone.Gone, diaphone.Suspect,
		diaphone.Retry, diaphone.Throttled, diaphone.Denied, diaphone.Unknown} {
		explained(t, "verdict", string(v))
	}
	for name, code := range constants(t, parse(t, "../providers/internal/exchange/failure.go")[0]) {
		explained(t, name, code)
	}
	words := 0
	for _, vendor := range []string{"apns", "fcm", "webpush"} {
		for _, file := range parse(t, "../providers/"+vendor+"/*.go") {
			for _, code := range reasonsIn(constants(t, file), file) {
				words++
				explained(t, vendor, code)
			}
		}
	}
	if words < 50 || len(ours) < 10 {
		t.Errorf("%d words of providers and %d reasons of ours were found", words, len(ours))
	}
}

// reasonsIn gives the words of a provider's rules, and the reasons that it gives itself.
func reasonsIn(named map[string]string, file *ast.File) (all []string) {
	word := func(e ast.Expr) {
		if text, ok := literal(e); ok {
			all = append(all, text)
		}
		switch e := e.(type) {
		case *ast.Ident:
			if text, ok := named[e.Name]; ok {
				all = append(all, text)
			}
		case *ast.SelectorExpr:
			if reason, ok := strings.CutPrefix(e.Sel.Name, "Reason"); ok {
				all = append(all, reason)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if n.Names[0].Name != "rules" {
				return true
			}
			for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
				for _, part := range e.(*ast.KeyValueExpr).Key.(*ast.CompositeLit).Elts {
					if kv, keyed := part.(*ast.KeyValueExpr); keyed {
						if kv.Key.(*ast.Ident).Name == "code" {
							word(kv.Value)
						}
						continue
					}
					word(part)
				}
			}
			return false
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "reason") {
				word(n.Value)
			}
		}
		return true
	})
	return slices.DeleteFunc(all, func(w string) bool { // whose word it is, is none
		return slices.Contains([]string{"Google", "Mozilla", "Apple", "Microsoft", "a push service"}, w)
	})
}

// Nobody in push invents a reason: they are the constants, so that they can be found.
func TestReasonsAreConstants(t *testing.T) {
	for _, file := range append(parse(t, "../push/*.go"), parse(t, "../app.go")...) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				for _, arg := range n.Args {
					if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "ended" {
						if text, ok := literal(arg); ok {
							t.Errorf("the reason %q is no constant of reason.go", text)
						}
					}
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if i < len(n.Rhs) && reasonName(to) {
						if text, ok := literal(n.Rhs[i]); ok && text != "" {
							t.Errorf("the reason %q is no constant of reason.go", text)
						}
					}
				}
			}
			return true
		})
	}
}

func reasonName(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "reason"
	case *ast.SelectorExpr:
		return strings.EqualFold(e.Sel.Name, "reason")
	}
	return false
}

func TestUnknownWordsAreExplainedByTheirVerdict(t *testing.T) {
	m := MeaningOf("SomethingNew", diaphone.Denied)
	if m.Code != "SomethingNew" || m.Do != checkCredential {
		t.Errorf("%+v", m)
	}
	if m := MeaningOf("SomethingNew", ""); m.Means == "" {
		t.Errorf("%+v", m)
	}
	for code, text := range maps.All(vendorMeanings) {
		if _, ours := meanings[code]; ours {
			t.Errorf("%q stands in both tables", code)
		}
		if !strings.HasSuffix(text.means, ".") {
			t.Errorf("%q: %q is no sentence", code, text.means)
		}
	}
}
