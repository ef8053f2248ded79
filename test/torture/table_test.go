package torture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// table is what is printed at the end.
type table struct {
	mu   sync.Mutex
	rows []string
}

// add takes a scene's row, and what is to be said of it.
func (b *table) add(name string, v verdict, remark string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d (%d)\t%s\t%s", name, v.accepted, v.refused+v.unknown, v.deliveries, v.lost,
		v.duplicates, v.bound, v.settled.Round(100*time.Millisecond), remark))
}

// planted puts the mutants below the gateway as it is.
func planted(row string) int { return strings.Index(row, "planted: ") }

// print writes the table to the log of the test.
func (b *table) print(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scene\taccepted\trefused, unknown\tdeliveries\tlost\tduplicates (bound)\tsettled in\tverdict")
	slices.SortFunc(b.rows, func(a, b string) int { return cmp.Or(cmp.Compare(planted(a), planted(b)), strings.Compare(a, b)) })
	for _, row := range b.rows {
		fmt.Fprintln(w, row)
	}
	_ = w.Flush()
	t.Logf("-seed=%d\n%s", *seed, text.String())
}
