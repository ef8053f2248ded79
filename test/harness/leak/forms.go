package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

type form struct{ name, text string }

// forms gives the ways in which a value may stand in a text. Case does not matter to
// whoever compares.
func forms(value string) []form {
	all := []form{
		{"as it is", value},
		{"in Go's quotes", unquoted(strconv.Quote(value))},
		{"in JSON", inJSON(value)},
		{"in JSON in JSON", inJSON(inJSON(value))},
		{"in a query", url.QueryEscape(value)},
		{"in a path", url.PathEscape(value)},
		{"in hexadecimal", hex.EncodeToString([]byte(value))},
	}
	for _, f := range base64s(value) {
		all = append(all, form{"in base64", f})
	}
	for _, f := range pieces(value) {
		all = append(all, form{"in part", f})
	}
	kept := all[:0]
	for _, f := range all {
		if len(f.text) >= window {
			kept = append(kept, f)
		}
	}
	return kept
}

func unquoted(s string) string { return s[1 : len(s)-1] }

func inJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return s // never: a string
	}
	return unquoted(string(text))
}

// base64s gives what is the same wherever the value begins in what was encoded: the
// first and the last letters depend on its neighbours too.
func base64s(value string) (all []string) {
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + value))
		from := (before*8 + 5) / 6
		if rest := (before + len(value)) % 3; rest != 0 {
			text = text[:len(text)-1]
		}
		text = text[from:]
		all = append(all, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
	}
	return all
}

// pieceSize: whoever says twice as much of an opaque text less one letter, anywhere in
// it, is found.
const pieceSize = 16

// pieces cuts what is opaque. Half of a URL may be anything.
func pieces(value string) (all []string) {
	opaque := strings.IndexFunc(value, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_+/=:", r)
	}) < 0
	if !opaque || strings.Contains(value, "//") {
		return nil
	}
	for i := 0; i+pieceSize <= len(value) && len(value) >= 2*pieceSize; i += pieceSize {
		all = append(all, value[i:i+pieceSize])
	}
	return all
}
