package push

import (
	"testing"
	"time"
)

func TestTheWindowKeepsSlotsForTheUrgent(t *testing.T) {
	for slots, bulk := range map[int]int{1: 1, 2: 2, 63: 63, 64: 63, 500: 493, 1000: 985} {
		w := newWindow(slots)
		if w.room(true) != slots || w.room(false) != bulk {
			t.Errorf("%d slots: %d for urgent messages and %d for broadcasts, want all and %d", slots, w.room(true), w.room(false), bulk)
		}
	}
}

func TestBroadcastsMakeRoomOnABusyMachine(t *testing.T) {
	w := newWindow(500)
	for range 1000 {
		w.started(2 * busyLag)
	}
	if w.room(false) != 250 || w.room(true) != 500 {
		t.Errorf("busy: %d slots for broadcasts and %d for urgent messages, want half and all", w.room(false), w.room(true))
	}
	for range 1000 {
		w.started(time.Microsecond)
	}
	if w.room(false) != 493 {
		t.Errorf("no longer busy: %d slots for broadcasts", w.room(false))
	}
	w.bad(time.Now())
	if w.room(false) != 250 || w.room(true) != 250 {
		t.Errorf("the provider fails: %d and %d slots", w.room(false), w.room(true))
	}
	one := newWindow(1)
	one.started(time.Second)
	if one.room(false) != 1 {
		t.Error("a lane of one slot sends no broadcast")
	}
}
