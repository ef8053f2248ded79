package hooks_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An endpoint that answers, but more slowly than things happen: what waits for it is
// bounded, state is told nevertheless, and nobody else hears less.
func TestASlowEndpointDoesNotFillTheStore(t *testing.T) {
	for what, bound := range map[string]func(w *world){
		"by number": func(w *world) { w.most = 50 },
		"by bytes":  func(w *world) { w.mostBytes = 50 * 500 }, // of which a notice is taken to have some
	} {
		t.Run(what, func(t *testing.T) { slowEndpoint(t, bound) })
	}
}

func slowEndpoint(t *testing.T, bound func(*world)) {
	inWorld(t, func(w *world) {
		var slow atomic.Bool
		slow.Store(true)
		w.ends["one"].answer = func(int, *http.Request) *http.Response {
			if slow.Load() {
				time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
			}
			return status(200)
		}
		w.alsoTwo()
		bound(w)
		stop := w.run()
		happens := func(from, to int) {
			for i := from; i < to; i++ {
				for j := range 40 {
					w.happens(fmt.Sprintf("client_event presence-x %d-%d", i, j))
				}
				w.happens(fmt.Sprint("member_added presence-x ", i))
				pass(time.Second)
			}
		}
		w.happens("channel_occupied presence-x")
		happens(0, 30)
		stop() // what waits is counted anew after a start
		stop = w.run()
		w.happens("channel_occupied presence-x")
		happens(30, 60)
		queues, err := w.store.Queues(context.Background(), "1")
		if err != nil || len(queues) != 2 || queues[0].Pending > 50+40+60 || queues[0].Pending < 50 || queues[1].Pending > 41 {
			t.Errorf("%+v, %v", queues, err)
		}
		if a, b := w.dropped("a"), w.dropped("b"); a < 300 || b > 0 {
			t.Errorf("%d and %d were dropped", a, b)
		}
		slow.Store(false)
		pass(10 * time.Second)
		before := w.dropped("a")
		happens(60, 70) // there is room again
		pass(time.Second)
		if again := w.dropped("a") - before; again > 0 {
			t.Errorf("%d were dropped when all had been taken", again)
		}
		stop()
		state := func(host string) (lines []string) {
			for _, l := range w.hears(host) {
				if !strings.HasPrefix(l, "client_event") {
					lines = append(lines, l)
				}
			}
			return lines
		}
		if one, two := state("one"), state("two"); !slices.Equal(one[:1], []string{"channel_occupied presence-x"}) || !slices.Equal(slices.Compact(one), two) {
			t.Errorf("of state one heard %q, two heard %q", one, two)
		}
		if n := len(w.hears("two")); n < 70*41+1 {
			t.Errorf("two heard %d", n)
		}
	})
}

// However many channels come and go while the store takes nothing, they are not kept.
func TestAFullStoreDoesNotFillTheMemory(t *testing.T) {
	inWorld(t, func(w *world) {
		s := &shaky{down: true}
		w.faulty = s
		defer w.run()()
		for i := range 300 {
			w.happens(fmt.Sprint("channel_occupied private-", i), fmt.Sprint("channel_vacated private-", i))
			pass(time.Second)
		}
		if n := w.engine.Remembered(); n > 20 {
			t.Errorf("%d channels and entries are kept", n)
		}
		s.set(false)
		pass(5 * time.Second)
		if n := w.engine.Remembered(); n > 0 {
			t.Errorf("%d channels and entries are kept when all was told", n)
		}
	})
}
