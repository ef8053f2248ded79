package hub

import (
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func TestWhatIsRememberedOfAMessage(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		b.user("ana", "news")
		b.user("ben", "news").numbed()
		begun := time.Now()
		announced := b.Await(&b.app, diaphone.Awaited{Message: m2, By: diaphone.ByReceipt, Until: begun.Add(within)})
		if r := b.Remembered("1", m2, "fay"); !r.Known || r.Live || !r.Pending || r.By != diaphone.ByReceipt {
			t.Errorf("before it is published: %+v", r)
		}
		announced(nil, nil)
		b.publishAwaited(m1, diaphone.ByPong, "news")
		known := Remembered{Known: true, By: diaphone.ByPong, Until: begun.Add(within)}
		b.Confirm("1", m1, "gil") // by a phone: nobody of theirs is live
		taken, awaited, unproven, reported := known, known, known, known
		reported.How = diaphone.TakenElsewhere
		taken.Live, taken.How = true, diaphone.TakenLive
		awaited.Live, awaited.Pending = true, true
		unproven.Live = true
		for u, want := range map[diaphone.UserID]Remembered{"ana": taken, "ben": awaited, "fay": known, "gil": reported} {
			if got := b.Remembered("1", m1, u); got != want {
				t.Errorf("%s: %+v, want %+v", u, got, want)
			}
		}
		time.Sleep(within) //nolint:forbidigo // virtual time
		if got := b.Remembered("1", m1, "ben"); got != unproven {
			t.Errorf("after its time: %+v", got)
		}
		if got := b.Remembered("2", m1, "ana"); got != (Remembered{}) {
			t.Errorf("in another app: %+v", got)
		}
		if got := b.Remembered("1", m2, "ana"); got != (Remembered{}) {
			t.Errorf("of a message that was given up: %+v", got)
		}
	})
}
