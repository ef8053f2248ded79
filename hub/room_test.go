package hub

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// When those who are not served yet all leave, the walk stands at its end with
// the next turn still to come; who leaves then must not confuse the rest.
func TestLeavingAtTheEndOfAWalk(t *testing.T) {
	r := &room{queue: []*letter{{}}, next: 1}
	for i := range turnSize + 1 {
		r.seats = append(r.seats, &seat{index: i, first: 1})
	}
	var chunk [turnSize]*seat
	r.begin(chunk[:])
	r.settle()
	for _, i := range []int{turnSize, 3, 5} {
		r.unseat(i)
		for at, s := range r.seats {
			if s.index != at {
				t.Fatalf("seat %d believes that it is %d", at, s.index)
			}
		}
	}
}

// However sessions come and go during a walk over the seats, whoever was there
// from its beginning to its end is served exactly once.
func TestEverySeatIsServedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &room{queue: []*letter{{}}, next: 1}
		sit := func() {
			r.seats = append(r.seats, &seat{index: len(r.seats), first: r.next})
		}
		for range rapid.IntRange(1, 300).Draw(t, "seats") {
			sit()
		}
		stayed := slices.Clone(r.seats)
		served := map[*seat]int{}
		for more := true; more; more = r.settle() {
			for range rapid.IntRange(0, 20).Draw(t, "changes") {
				if rapid.Bool().Draw(t, "comes") || len(r.seats) == 0 {
					sit()
					continue
				}
				gone := r.seats[rapid.IntRange(0, len(r.seats)-1).Draw(t, "leaves")]
				r.unseat(gone.index)
				stayed = slices.DeleteFunc(stayed, func(s *seat) bool { return s == gone })
			}
			var chunk [turnSize]*seat
			for _, s := range chunk[:r.begin(chunk[:])] {
				served[s]++
			}
			for i, s := range r.seats {
				if s.index != i {
					t.Fatalf("seat %d believes that it is %d", i, s.index)
				}
			}
		}
		for _, s := range stayed {
			if served[s] != 1 {
				t.Fatalf("served %d times", served[s])
			}
		}
	})
}

// A walk that begins finds the seats of a large room in the order of their
// connections, and small disorder is left as it is.
func TestSeatsAreTidiedBetweenSweeps(t *testing.T) {
	r := &room{}
	for i := range 200 {
		r.seats = append(r.seats, &seat{index: i, place: i})
	}
	inOrder := func() bool {
		return slices.IsSortedFunc(r.seats, func(a, b *seat) int { return a.place - b.place })
	}
	walk := func() {
		r.queue = append(r.queue, &letter{})
		r.next++
		for more := true; more; more = r.settle() {
			var chunk [turnSize]*seat
			r.begin(chunk[:])
		}
	}
	r.unseat(3)
	walk()
	if inOrder() {
		t.Error("one hole has the whole room sorted")
	}
	for range 20 {
		r.unseat(5)
	}
	walk()
	if !inOrder() {
		t.Error("after many have left the seats are out of order")
	}
	for i, s := range r.seats {
		if s.index != i {
			t.Fatalf("seat %d believes that it is %d", i, s.index)
		}
	}
}
