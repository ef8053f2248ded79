package torture

import (
	"fmt"
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

// add takes a scene's row.
func (b *table) add(name string, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d (%d)\t%s", name, v.accepted, v.refused+v.unknown, v.deliveries, v.lost,
		v.duplicates, v.bound, v.settled.Round(100*time.Millisecond)))
}

// note takes a row of words.
func (b *table) note(name, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, name+"\t"+text)
}

// print writes the table to the log of the test.
func (b *table) print(t *testing.T, heads string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heads, "|", "\t"))
	for _, row := range b.rows {
		fmt.Fprintln(w, row)
	}
	_ = w.Flush()
	t.Logf("-seed=%d\n%s", *seed, text.String())
}
