package gateway

import (
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func knocked(w *Watch) bool {
	select {
	case <-w.Changed:
		return true
	default:
		return false
	}
}

func TestWatches(t *testing.T) {
	g := &Gateway{}
	g.Changed("1", "a") // nobody follows
	watch := func(app diaphone.AppID, id diaphone.MessageID) *Watch {
		t.Helper()
		w, err := g.Watch(app, id)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	a, again, b, foreign := watch("1", "a"), watch("1", "a"), watch("1", "b"), watch("2", "a")
	for range 3 {
		g.Changed("1", "a")
	}
	if !knocked(a) || !knocked(again) || knocked(a) || knocked(b) || knocked(foreign) {
		t.Error("a change is told once to each who follows that message, and to nobody else")
	}
	a.Close()
	g.Changed("1", "a")
	if knocked(a) || !knocked(again) {
		t.Error("who has gone is told, or who stays is not")
	}
	var all []*Watch
	for range MaxWatches - 2 {
		all = append(all, watch("1", "a"))
	}
	if _, err := g.Watch("1", "b"); diaphone.CodeOf(err) != diaphone.Limited {
		t.Errorf("one too many: %v", err)
	}
	foreign2 := watch("2", "a")
	for _, w := range append(all, again, b, foreign, foreign2) {
		w.Close()
	}
	if g.watches.count.Load() != 0 || len(g.watches.of) != 0 || len(g.watches.inApp) != 0 {
		t.Errorf("%d watches are left, %+v", g.watches.count.Load(), g.watches.of)
	}
	watch("1", "b").Close()
}
