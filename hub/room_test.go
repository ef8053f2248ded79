package hub

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// When those who are not served yet all leave, the walk stands at its end with
// the next turn still to come; who leaves then must not confuse the rest.
func TestLeavingAtTheEndOfAWalk(t *testing.T) {
	r := &room{letters: []*letter{{}}, next: 1}
	for i := range turnSize + 1 {
		r.seats = append(r.seats, &seat{index: i})
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

// However sessions come and go and letters arrive during a walk over the seats,
// whoever stays hears every letter since it came exactly once, and in order.
func TestEverySeatHearsEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &room{}
		came, heard := map[*seat]uint64{}, map[*seat]uint64{}
		sit := func() {
			s := &seat{index: len(r.seats), next: r.next, place: rapid.IntRange(0, 999).Draw(t, "place")}
			r.seats = append(r.seats, s)
			r.disorder++
			came[s] = r.next
		}
		for range rapid.IntRange(1, 300).Draw(t, "seats") {
			sit()
		}
		r.add(&letter{})
		for more := true; more; more = r.settle() {
			for range rapid.IntRange(0, 20).Draw(t, "changes") {
				switch kind := rapid.IntRange(0, 2).Draw(t, "change"); {
				case kind == 0 || len(r.seats) == 0:
					sit()
				case kind == 1:
					gone := r.seats[rapid.IntRange(0, len(r.seats)-1).Draw(t, "leaves")]
					r.unseat(gone.index)
					delete(came, gone)
				case r.next < 30:
					r.add(&letter{})
				}
			}
			var chunk [turnSize]*seat
			for _, s := range chunk[:r.begin(chunk[:])] {
				if lacks := r.next - s.next; lacks > uint64(len(r.letters)) {
					t.Fatalf("a seat lacks %d letters of which %d are kept", lacks, len(r.letters))
				}
				heard[s] += r.next - s.next
				s.next = r.next
			}
			for i, s := range r.seats {
				if s.index != i {
					t.Fatalf("seat %d believes that it is %d", i, s.index)
				}
			}
		}
		for s, since := range came {
			if heard[s] != r.next-since {
				t.Fatalf("heard %d of %d letters", heard[s], r.next-since)
			}
		}
	})
}

// A walk that begins finds the seats of a large room in the order of their
// connections, and small disorder is left as it is.
func TestSeatsAreTidiedBetweenRounds(t *testing.T) {
	r := &room{}
	for i := range 200 {
		r.seats = append(r.seats, &seat{index: i, place: i})
	}
	inOrder := func() bool {
		return slices.IsSortedFunc(r.seats, func(a, b *seat) int { return a.place - b.place })
	}
	walk := func() {
		r.add(&letter{})
		for more := true; more; more = r.settle() {
			var chunk [turnSize]*seat
			for _, s := range chunk[:r.begin(chunk[:])] {
				s.next = r.next
			}
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
