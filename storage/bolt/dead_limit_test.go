package bolt

import (
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// An endpoint that stays dead does not fill the disk: of its dead letters the latest
// are kept, and no other webhook's are touched.
func TestDeadLettersAreBounded(t *testing.T) {
	s := newStore(t, Options{hooks: hooks{maxDead: 5}})
	other := diaphone.WebhookID{App: testApp, Name: "backend2"}
	for i := range 4 {
		mustAppend(t, s, testAppend([]string{fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), fmt.Sprint(i, "c")}, testHook, other))
		if err := s.Bury(t.Context(), testHook, uint64(3*i+3), "410", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Bury(t.Context(), other, 2, "410", time.Now()); err != nil {
		t.Fatal(err)
	}
	letters, _, err := s.DeadLetters(t.Context(), testHook, storage.Page{Limit: 100})
	if err != nil || len(letters) != 5 || letters[0].Seq != 8 || letters[4].Seq != 12 {
		t.Errorf("%+v, %v", letters, err)
	}
	if q := state(t, s, testHook); q.Dead != 5 || q.Pending != 0 || q.Last != 12 {
		t.Errorf("%+v", q)
	}
	if q := state(t, s, other); q.Dead != 2 || q.Pending != 10 {
		t.Errorf("of the other: %+v", q)
	}
	if n, _, err := s.Revive(t.Context(), testHook, nil, time.Now()); n != 5 || err != nil {
		t.Errorf("revived %d, %v", n, err)
	}
}
