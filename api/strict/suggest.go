package strict

import (
	"fmt"
	"reflect"
	"strings"
)

// unknownField says what is there instead of the unknown field: the one that was
// probably meant, or all of them.
func unknownField(name string, of reflect.Type) string {
	known := jsonNames(of)
	return unknown("field", name, known)
}

// unknown is the text for a name that is not among the known ones.
func unknown(what, name string, known []string) string {
	text := fmt.Sprintf("there is no %s %q here", what, Clip(name))
	if likely := closest(name, known); likely != "" {
		return text + fmt.Sprintf("; did you mean %q?", likely)
	}
	if len(known) > 0 {
		return text + "; there are " + strings.Join(known, ", ")
	}
	return text
}

// jsonNames lists the members that the struct type has in JSON.
func jsonNames(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous { // its members are seen as the type's own
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// closest gives the known name with at most two edits, upper and lower case
// counting as the same; empty when there is none.
func closest(name string, known []string) string {
	const maxName, maxEdits = 40, 2
	if len(name) > maxName {
		return ""
	}
	best, least := "", maxEdits+1
	for _, k := range known {
		if d := edits(strings.ToLower(name), k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two short strings.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
